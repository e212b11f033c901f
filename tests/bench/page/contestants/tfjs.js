// @tensorflow/tfjs-core with its wasm backend on one thread. Its images are NHWC, its filters HWIO.
import { inputsOf } from '../data.js';
import { LEARNING_RATE, modelOf, oneHot } from '../models.js';

export async function open({ root }) {
  // The bundle of tfjs-core alone has no gradients. These are classic scripts that find each other as `tf`.
  await import(`${root}/@tensorflow/tfjs/dist/tf.min.js`);
  await import(`${root}/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js`);
  const { tf } = globalThis;
  tf.wasm.setWasmPaths(`${root}/@tensorflow/tfjs-backend-wasm/dist/`);
  tf.wasm.setThreadsCount(1);
  await tf.setBackend('wasm');
  await tf.ready();

  const made = ({ shape, values }) => tf.tensor(values, shape);
  const same = (x) => x;
  const permuted = (...order) => (x) => (x.rank === 4 ? tf.transpose(x, order) : x);
  const toNhwc = permuted(0, 2, 3, 1);
  const toHwio = permuted(2, 3, 1, 0);
  const toNchw = permuted(0, 3, 1, 2);
  const toOihw = permuted(3, 2, 0, 1);

  /** `bring` has a function for each input that it goes through before; `back` is for the last result, when it is read. */
  const repeat = (fn, { bring = [], back = same } = {}) => (task) => {
    const inputs = inputsOf(task).map((input, i) => tf.tidy(() => (bring[i] ?? same)(made(input))));
    return {
      async run(n) {
        for (let i = 1; i < n; i++) tf.dispose(fn(...inputs));
        const last = tf.tidy(() => back(fn(...inputs)));
        const result = await last.data();
        last.dispose();
        return result;
      },
      close: () => tf.dispose(inputs),
    };
  };

  const layerNorm = (x, w, b) =>
    tf.tidy(() => {
      const { mean, variance } = tf.moments(x, -1, true);
      return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-5))), w), b);
    });
  const convolve = (x, w, b) => tf.tidy(() => tf.add(tf.conv2d(x, w, 1, 'same'), b));
  const convolveBack = (x, w, b, gradient) =>
    tf.tidy(() => {
      const gradients = tf.grads(convolve)([x, w, b], gradient);
      return tf.concat([toNchw(gradients[0]), toOihw(gradients[1]), gradients[2]].map((each) => tf.reshape(each, [-1])));
    });

  const dense = (x, w, b) => tf.add(tf.matMul(x, w), b);
  const pool = (x) => tf.maxPool(x, 2, 2, 'valid');
  const networks = {
    mlp: (x, [w1, b1, w2, b2]) => dense(tf.relu(dense(x, w1, b1)), w2, b2),
    lenet(x, [w1, b1, w2, b2, w3, b3, w4, b4, w5, b5]) {
      const first = pool(tf.relu(tf.add(tf.conv2d(x, w1, 1, 'same'), b1)));
      const second = pool(tf.relu(tf.add(tf.conv2d(first, w2, 1, 'valid'), b2)));
      const flat = tf.reshape(toNchw(second), [x.shape[0], -1]);
      return dense(tf.relu(dense(tf.relu(dense(flat, w3, b3)), w4, b4)), w5, b5);
    },
  };

  function training({ model: name }) {
    const { parameters, input, labels } = modelOf(name);
    const brought = (parameter) => tf.tidy(() => (parameter.shape.length === 2 ? tf.transpose(made(parameter)) : toHwio(made(parameter))));
    const initial = parameters.map(brought);
    const variables = initial.map((value) => tf.variable(value));
    const x = tf.tidy(() => toNhwc(made(input)));
    const y = made(oneHot(labels));
    const optimizer = tf.train.sgd(LEARNING_RATE);
    const lossOf = () => tf.losses.softmaxCrossEntropy(y, networks[name](x, variables));
    return {
      ready: () => variables.forEach((variable, i) => tf.tidy(() => variable.assign(tf.clone(initial[i])))),
      async run(n) {
        const losses = [];
        for (let i = 0; i < n; i++) losses.push(optimizer.minimize(lossOf, true, variables));
        const values = [];
        for (const loss of losses) values.push((await loss.data())[0]);
        tf.dispose(losses);
        return values;
      },
      close: () => tf.dispose([...initial, ...variables, x, y]),
    };
  }

  return {
    version: `tfjs ${tf.version_core}`,
    tasks: {
      matmul: repeat((a, b) => tf.matMul(a, b)),
      add: repeat((a, b) => tf.add(a, b)),
      mul: repeat((a, b) => tf.mul(a, b)),
      sum: repeat((a) => tf.sum(a)),
      transpose: repeat((a) => tf.transpose(a)),
      exp: repeat((a) => tf.exp(a)),
      sigmoid: repeat((a) => tf.sigmoid(a)),
      softmax: repeat((a) => tf.softmax(a)),
      layer_norm: repeat(layerNorm),
      conv2d: repeat(convolve, { bring: [toNhwc, toHwio], back: toNchw }),
      conv2d_backward: repeat(convolveBack, { bring: [toNhwc, toHwio, same, toNhwc] }),
      training,
    },
  };
}
