// @tensorflow/tfjs-core with its wasm backend on one thread.
import { inputsOf } from '../data.js';

export async function open({ root }) {
  // These bundles are classic scripts that find each other as `tf`.
  await import(`${root}/@tensorflow/tfjs-core/dist/tf-core.min.js`);
  await import(`${root}/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js`);
  const { tf } = globalThis;
  tf.wasm.setWasmPaths(`${root}/@tensorflow/tfjs-backend-wasm/dist/`);
  tf.wasm.setThreadsCount(1);
  await tf.setBackend('wasm');
  await tf.ready();

  const repeat = (fn) => (task) => {
    const inputs = inputsOf(task).map(({ shape, values }) => tf.tensor(values, shape));
    return {
      async run(n) {
        for (let i = 1; i < n; i++) fn(...inputs).dispose();
        const last = fn(...inputs);
        const result = await last.data();
        last.dispose();
        return result;
      },
      close: () => tf.dispose(inputs),
    };
  };

  return { version: `tfjs ${tf.version_core}`, tasks: { matmul: repeat((a, b) => tf.matMul(a, b)) } };
}
