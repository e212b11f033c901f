// The two networks that are trained: shapes of their parameters as PyTorch has them, initial values, a batch.
import { product, uniform } from './data.js';

export const LEARNING_RATE = 0.1;
export const N_CLASSES = 10;

const MODELS = {
  mlp: { input: [64, 784], parameters: [[128, 784], [128], [10, 128], [10]] },
  lenet: { input: [32, 1, 28, 28], parameters: [[6, 1, 5, 5], [6], [16, 6, 5, 5], [16], [120, 400], [120], [84, 120], [84], [10, 84], [10]] },
};

/** { parameters, input, labels }: each { shape, values }; weights and biases are as large as PyTorch would draw them. */
export function modelOf(name) {
  const { input, parameters } = MODELS[name];
  return {
    parameters: parameters.map((shape, i) => {
      const weight = parameters[i - (i % 2)];
      const bound = 1 / Math.sqrt(product(weight.slice(1)));
      return { shape, values: uniform(product(shape), 100 + i).map((value) => value * bound) };
    }),
    input: { shape: input, values: uniform(product(input), 1) },
    labels: { shape: [input[0]], values: Int32Array.from({ length: input[0] }, (_, i) => (7 * i) % N_CLASSES) },
  };
}

/** The labels as rows of zeros with a one. */
export function oneHot({ values }) {
  const rows = new Float32Array(values.length * N_CLASSES);
  values.forEach((label, i) => (rows[i * N_CLASSES + label] = 1));
  return { shape: [values.length, N_CLASSES], values: rows };
}
