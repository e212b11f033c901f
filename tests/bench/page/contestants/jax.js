// @jax-js/jax on its wasm backend: each task under jit, or (`isEager`) op by op, which is faster where jit fuses a convolution into one loop. Its functions consume their arguments, but for those that are given as `x.ref`.
import { inputsOf } from '../data.js';
import { LEARNING_RATE, modelOf, oneHot } from '../models.js';

export async function open({ root, version, isEager = false }) {
  // With shared memory it would hand every kernel to a pool of Workers; without, it runs kernels in this thread, as on a page that is not isolated.
  delete globalThis.SharedArrayBuffer;
  const jax = await import(`${root}/@jax-js/jax/dist/index.js`);
  await jax.init('wasm');
  jax.defaultDevice('wasm');
  const { lax, nn, numpy: np } = jax;
  const compile = isEager ? (fn) => fn : jax.jit;
  const made = ({ shape, values }) => np.array(values).reshape(shape);

  /** Results are lazy: each is waited for, then freed. A function may answer several, which are read as one. */
  const repeat = (fn) => (task) => {
    const compiled = compile(fn);
    const inputs = inputsOf(task).map(made);
    const call = async () => {
      const results = [compiled(...inputs.map((input) => input.ref))].flat();
      await jax.blockUntilReady(results);
      return results;
    };
    return {
      async run(n) {
        for (let i = 1; i < n; i++) for (const result of await call()) result.dispose();
        const values = await Promise.all((await call()).map((result) => result.data()));
        return values.length === 1 ? values[0] : values.flatMap((each) => [...each]);
      },
      close: () => inputs.forEach((input) => input.dispose()),
    };
  };

  const perChannel = (b) => b.reshape([-1, 1, 1]);
  const convolve = (x, w, b) => lax.conv(x, w, [1, 1], 'SAME').add(perChannel(b));
  const convolveBack = (x, w, b, gradient) => {
    const [result, pullBack] = jax.vjp(convolve, [x, w, b]);
    result.dispose();
    return pullBack(gradient);
  };

  const dense = (x, w, b) => np.matmul(x, w).add(b);
  const pool = (x) => lax.reduceWindow(x, np.max, [2, 2], [2, 2]);
  const networks = {
    mlp: (x, [w1, b1, w2, b2]) => dense(nn.relu(dense(x, w1, b1)), w2, b2),
    lenet(x, [w1, b1, w2, b2, w3, b3, w4, b4, w5, b5]) {
      const [nImages] = x.shape;
      const first = pool(nn.relu(lax.conv(x, w1, [1, 1], 'SAME').add(perChannel(b1))));
      const second = pool(nn.relu(lax.conv(first, w2, [1, 1], 'VALID').add(perChannel(b2))));
      const flat = second.reshape([nImages, -1]);
      return dense(nn.relu(dense(nn.relu(dense(flat, w3, b3)), w4, b4)), w5, b5);
    },
  };

  function training({ model: name }) {
    const { parameters, input, labels } = modelOf(name);
    const initial = parameters.map((parameter) => (parameter.shape.length === 2 ? np.transpose(made(parameter)) : made(parameter)));
    const [x, y] = [made(input), made(oneHot(labels))];
    const [nRows] = labels.shape;
    const lossOf = (weights, images, rows) => nn.logSoftmax(networks[name](images, weights), -1).mul(rows).sum().mul(-1 / nRows);
    const step = compile((weights, images, rows) => {
      const [loss, gradients] = jax.valueAndGrad(lossOf)(jax.tree.ref(weights), images, rows);
      return [loss, jax.tree.map((weight, gradient) => weight.sub(gradient.mul(LEARNING_RATE)), weights, gradients)];
    });
    let weights = jax.tree.ref(initial);
    return {
      ready() {
        jax.tree.dispose(weights);
        weights = jax.tree.ref(initial);
      },
      async run(n) {
        const losses = [];
        for (let i = 0; i < n; i++) {
          const [loss, next] = step(weights, x.ref, y.ref);
          weights = next;
          await jax.blockUntilReady([loss, weights]);
          losses.push(loss);
        }
        const values = [];
        for (const loss of losses) values.push((await loss.data())[0]);
        return values;
      },
      close: () => [...weights, ...initial, x, y].forEach((each) => each.dispose()),
    };
  }

  return {
    version: `jax-js ${version}`,
    tasks: {
      matmul: repeat((a, b) => np.matmul(a, b)),
      add: repeat((a, b) => np.add(a, b)),
      mul: repeat((a, b) => np.multiply(a, b)),
      sum: repeat((a) => np.sum(a)),
      transpose: repeat((a) => np.transpose(a)),
      exp: repeat((a) => np.exp(a)),
      sigmoid: repeat((a) => nn.sigmoid(a)),
      softmax: repeat((a) => nn.softmax(a, -1)),
      layer_norm: repeat((x, w, b) => nn.standardize(x, -1).mul(w).add(b)),
      conv2d: repeat(convolve),
      conv2d_backward: repeat(convolveBack),
      training,
    },
  };
}
