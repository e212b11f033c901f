// @jax-js/jax on its wasm backend, each task under jit.
import { inputsOf } from '../data.js';

export async function open({ root, version }) {
  // With shared memory it would hand every kernel to a pool of Workers; without, it runs kernels in this thread, as on a page that is not isolated.
  delete globalThis.SharedArrayBuffer;
  const jax = await import(`${root}/@jax-js/jax/dist/index.js`);
  await jax.init('wasm');
  jax.defaultDevice('wasm');
  const { numpy: np } = jax;

  /** Results are lazy: each is waited for, then freed. */
  const repeat = (fn) => (task) => {
    const compiled = jax.jit(fn);
    const inputs = inputsOf(task).map(({ shape, values }) => np.array(values).reshape(shape));
    const call = () => compiled(...inputs.map((input) => input.ref));
    return {
      async run(n) {
        for (let i = 1; i < n; i++) {
          const result = call();
          await result.blockUntilReady();
          result.dispose();
        }
        return call().data();
      },
      close: () => inputs.forEach((input) => input.dispose()),
    };
  };

  return { version: `jax-js ${version}`, tasks: { matmul: repeat((a, b) => np.matmul(a, b)) } };
}
