// onnxruntime-web's wasm backend.
//
// A session takes its inputs from JavaScript and hands its outputs back at every run. So that only the first and the last of n calls pay for that, as with the others,
// a model holds the same node many times over, with graph optimisation off, which would see that they are one.
import { inputsOf } from '../data.js';
import { onnxModel } from '../onnx.js';

const MAX_NODES = 256;

export async function open({ root, version, nThreads = 1 }) {
  const ort = await import(`${root}/onnxruntime-web/dist/ort.wasm.min.mjs`);
  ort.env.wasm.numThreads = nThreads;
  ort.env.wasm.wasmPaths = `${location.origin}${root}/onnxruntime-web/dist/`;

  /** A task of one node: its op, attributes, and the shape of the result by the shapes of the inputs. */
  const repeat = ({ op, attributes, shapeOf }) => (task) => {
    const names = task.inputs.map((_, i) => `input${i}`);
    const feeds = Object.fromEntries(inputsOf(task).map(({ shape, values }, i) => [names[i], new ort.Tensor('float32', values, shape)]));
    const sessions = new Map();
    function sessionOf(n) {
      if (!sessions.has(n)) sessions.set(n, makeSession(n));
      return sessions.get(n);
    }
    function makeSession(n) {
      const nodes = Array.from({ length: n }, (_, i) => ({ op, inputs: names, output: `output${i}`, attributes }));
      const model = onnxModel({
        nodes,
        inputs: task.inputs.map((shape, i) => ({ name: names[i], shape })),
        outputs: [{ name: nodes.at(-1).output, shape: shapeOf(...task.inputs) }],
      });
      return ort.InferenceSession.create(model, { executionProviders: ['wasm'], graphOptimizationLevel: 'disabled' });
    }
    const parts = (n) => [...new Array(Math.floor(n / MAX_NODES)).fill(MAX_NODES), n % MAX_NODES].filter((part) => part > 0);
    return {
      ready: (n) => Promise.all(parts(n).map(sessionOf)),
      async run(n) {
        let result;
        for (const part of parts(n)) result = Object.values(await (await sessionOf(part)).run(feeds))[0];
        return result.data;
      },
      close: () => Promise.all([...sessions.values()].map(async (session) => (await session).release())),
    };
  };

  const likeFirst = (shape) => shape;
  const broadcast = (a, b) => (a.length >= b.length ? a : b);
  return {
    version: `onnxruntime-web ${version}`,
    tasks: {
      matmul: repeat({ op: 'MatMul', shapeOf: ([m], [, n]) => [m, n] }),
      add: repeat({ op: 'Add', shapeOf: broadcast }),
      mul: repeat({ op: 'Mul', shapeOf: broadcast }),
      sum: repeat({ op: 'ReduceSum', attributes: { keepdims: 0 }, shapeOf: () => [] }),
      transpose: repeat({ op: 'Transpose', attributes: { perm: [1, 0] }, shapeOf: ([m, n]) => [n, m] }),
      exp: repeat({ op: 'Exp', shapeOf: likeFirst }),
      sigmoid: repeat({ op: 'Sigmoid', shapeOf: likeFirst }),
      softmax: repeat({ op: 'Softmax', attributes: { axis: -1 }, shapeOf: likeFirst }),
      layer_norm: repeat({ op: 'LayerNormalization', attributes: { axis: -1 }, shapeOf: likeFirst }),
      conv2d: repeat({ op: 'Conv', attributes: { pads: [1, 1, 1, 1] }, shapeOf: ([n, , h, w], [c]) => [n, c, h, w] }),
    },
  };
}
