// tabtensor, the core in this thread. (Threads beside it are asked for where the Worker is made.)
import { inputsOf } from '../data.js';
import { LEARNING_RATE, modelOf } from '../models.js';

export async function open({ nThreads = 1 }) {
  const { nn, optim, tensor, tidy, torch, version } = await import('/web/core/tabtensor.js');
  if (torch.get_num_threads() !== nThreads) throw new Error(`it has ${torch.get_num_threads()} threads, not ${nThreads}`);
  const made = ({ shape, values }, options) => tidy(() => tensor(values, options).reshape(shape));

  /** A task that calls `fn` with the inputs as tensors, and frees each result but the last, which is read. */
  const repeat = (fn) => (task) => {
    const inputs = inputsOf(task).map((input) => made(input));
    return {
      async run(n) {
        for (let i = 1; i < n; i++) fn(...inputs).dispose();
        const last = fn(...inputs);
        const result = await last.data();
        last.dispose();
        return result;
      },
      close: () => inputs.forEach((input) => input.dispose()),
    };
  };

  /** The same with a tidy around every hundred calls in place of each dispose. */
  const repeatInTidy = (fn) => (task) => {
    const plain = repeat(fn)(task);
    const inputs = inputsOf(task).map((input) => made(input));
    return {
      async run(n) {
        for (let left = n - 1; left > 0; left -= 100) {
          tidy(() => {
            for (let i = Math.min(left, 100); i > 0; i--) fn(...inputs);
          });
        }
        return plain.run(1);
      },
      close() {
        plain.close();
        inputs.forEach((input) => input.dispose());
      },
    };
  };

  /** Forward and backward, from a gradient that is given last; what is read are the gradients of the other inputs. */
  const backward = (fn) => (task) => {
    const [gradient, ...leaves] = inputsOf(task).map((input) => made(input)).reverse();
    leaves.reverse().forEach((leaf) => leaf.requires_grad_());
    return {
      async run(n) {
        for (let i = 0; i < n; i++) {
          for (const leaf of leaves) leaf.grad = null;
          const result = fn(...leaves);
          result.backward(gradient);
          result.dispose();
        }
        const gradients = await Promise.all(leaves.map((leaf) => tidy(() => leaf.grad.data())));
        return gradients.flatMap((values) => [...values]);
      },
      close: () => [gradient, ...leaves].forEach((each) => each.dispose()),
    };
  };

  const networks = {
    mlp: () => new nn.Sequential(new nn.Linear(784, 128), new nn.ReLU(), new nn.Linear(128, 10)),
    lenet: () =>
      new nn.Sequential(
        new nn.Conv2d(1, 6, 5, { padding: 2 }),
        new nn.ReLU(),
        new nn.MaxPool2d(2),
        new nn.Conv2d(6, 16, 5),
        new nn.ReLU(),
        new nn.MaxPool2d(2),
        new nn.Flatten(),
        new nn.Linear(400, 120),
        new nn.ReLU(),
        new nn.Linear(120, 84),
        new nn.ReLU(),
        new nn.Linear(84, 10),
      ),
  };

  /** Steps of SGD from the same beginning in every sample; what is read are the losses. */
  function training({ model: name }) {
    const { parameters, input, labels } = modelOf(name);
    const network = networks[name]();
    const initial = parameters.map((parameter) => made(parameter));
    const names = Object.keys(network.state_dict());
    const state = Object.fromEntries(names.map((key, i) => [key, initial[i]]));
    const x = made(input);
    const y = made(labels, { dtype: 'int64' });
    const optimizer = new optim.SGD(network.parameters(), { lr: LEARNING_RATE });
    const step = () => {
      optimizer.zero_grad();
      const loss = torch.nn.functional.cross_entropy(network.call(x), y);
      loss.backward();
      optimizer.step();
      return loss;
    };
    return {
      ready: () => network.load_state_dict(state),
      async run(n) {
        const losses = [];
        for (let i = 0; i < n; i++) losses.push(tidy(step));
        const values = await Promise.all(losses.map((loss) => loss.item()));
        losses.forEach((loss) => loss.dispose());
        return values;
      },
      close: () => [optimizer, network, x, y, ...initial].forEach((each) => each.dispose()),
    };
  }

  const { conv2d, layer_norm } = torch.nn.functional;
  const sizeOf = (x) => [x.shape.at(-1)];
  const convolve = (x, w, b) => conv2d(x, w, b, { padding: 1 });
  const transposed = (a) => {
    const view = a.t();
    const copy = view.contiguous();
    view.dispose();
    return copy;
  };
  return {
    version,
    tasks: {
      matmul: repeat((a, b) => a.matmul(b)),
      add: repeat((a, b) => a.add(b)),
      add_in_tidy: repeatInTidy((a, b) => a.add(b)),
      mul: repeat((a, b) => a.mul(b)),
      sum: repeat((a) => a.sum()),
      transpose: repeat(transposed),
      exp: repeat((a) => a.exp()),
      sigmoid: repeat((a) => a.sigmoid()),
      softmax: repeat((a) => a.softmax(-1)),
      layer_norm: repeat((x, w, b) => layer_norm(x, sizeOf(x), w, b)),
      conv2d: repeat(convolve),
      conv2d_backward: backward(convolve),
      training,
    },
  };
}
