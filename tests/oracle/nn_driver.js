// Runs modules and optimisers of tabtensor for compare_nn.py: a line of JSON in, a line of JSON out. Tensors are { dtype, shape, data }.
import { createInterface } from 'node:readline';
import { nn, optim, tensor, tidy, torch } from 'tabtensor';

const decode = ({ dtype, shape, data }) => tensor(data, { dtype }).reshape(shape);

async function encode(value) {
  const { dtype, shape, data } = await value.elements();
  return { dtype, shape, data: Array.from(data, Number) };
}

const encodeAll = async (named) => Object.fromEntries(await Promise.all(Object.entries(named).map(async ([name, value]) => [name, await encode(value)])));
const decodeAll = (named) => Object.fromEntries(Object.entries(named).map(([name, value]) => [name, decode(value)]));
const isCoded = (value) => value !== null && typeof value === 'object' && !Array.isArray(value) && value.dtype !== undefined && value.data !== undefined;
const argument = (value) => (isCoded(value) ? decode(value) : value);

function build({ name, args, options, dtype, state }) {
  const given = args.map(argument);
  const named = Object.fromEntries(Object.entries(options).map(([key, value]) => [key, argument(value)]));
  const module = new nn[name](...given, ...(Object.keys(named).length > 0 ? [named] : [])).to(dtype);
  if (state !== undefined) module.load_state_dict(decodeAll(state));
  return module;
}

const gradients = (named) => Object.fromEntries(named.filter(([, value]) => value.grad !== null).map(([name, value]) => [name, value.grad]));

const requests = {
  /** Forward and backward of sum(output * weight). */
  async module(request) {
    const module = build(request).train(request.train);
    const inputs = request.inputs.map((input) => decode(input));
    for (const input of inputs.slice(0, request.n_wanted)) if (input.dtype.startsWith('float')) input.requires_grad_();
    const [first, ...others] = inputs;
    const isLstm = request.name.startsWith('LSTM') && others.length > 0;
    const outputs = [module.call(first, ...(isLstm ? [others] : others))].flat(2);
    const weighted = outputs.map((output, i) => output.mul(decode(request.weights[i])).sum());
    const total = weighted.reduce((sum, value) => sum.add(value));
    if (total.requires_grad) total.backward();
    return {
      outputs: await Promise.all(outputs.map(encode)),
      input_grads: await encodeAll(gradients(inputs.map((input, i) => [String(i), input]))),
      grads: await encodeAll(gradients(module.named_parameters())),
      state: await encodeAll(module.state_dict()),
    };
  },

  /** What a new one is filled with. */
  async fresh(request) {
    const module = build(request);
    return { state: await encodeAll(module.state_dict()), requires_grad: Object.fromEntries(module.named_parameters().map(([name, p]) => [name, p.requires_grad])) };
  },

  /** A net trained for some steps on one batch: the parameters after each. */
  async train(request) {
    const model = new nn.Sequential(new nn.Linear(3, 4), new nn.Tanh(), new nn.Linear(4, 2)).to(request.dtype);
    model.load_state_dict(decodeAll(request.state));
    const optimizer = new optim[request.optimizer](model.parameters(), request.options);
    const scheduler = request.scheduler === undefined ? undefined : new optim.lr_scheduler[request.scheduler](optimizer, ...request.schedule);
    const lossOf = new nn.MSELoss();
    const [x, y] = [decode(request.x), decode(request.y)];
    const steps = [];
    const rates = [];
    for (let i = 0; i < request.steps; i++) {
      optimizer.zero_grad();
      const loss = lossOf.call(model.call(x), y);
      loss.backward();
      if (request.clip !== undefined) await nn.utils.clip_grad_norm_(model.parameters(), request.clip);
      optimizer.step();
      rates.push(optimizer.param_groups[0].lr);
      scheduler?.step(...(request.scheduler === 'ReduceLROnPlateau' ? [request.metrics[i]] : []));
      steps.push(await encodeAll(model.state_dict()));
    }
    return { steps, rates };
  },

  /** One of nn.init's functions on zeros. */
  async init({ name, shape, args, options, dtype }) {
    const made = torch.zeros(shape, { dtype });
    nn.init[name](made, ...args, ...(Object.keys(options).length > 0 ? [options] : []));
    return { state: { tensor: await encode(made) } };
  },
};

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const request = JSON.parse(line);
  if (request.seed !== undefined) torch.manual_seed(request.seed);
  let answer;
  try {
    answer = await tidy(() => requests[request.what](request));
  } catch (error) {
    answer = { error: String(error.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
