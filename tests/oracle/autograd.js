// Runs programs of tensor calls with gradients: a line of JSON in, a line of JSON out. tests/oracle/compare_autograd.py writes them.
//
// {"leaves": [{"shape": [2], "data": [1, 2], "requires_grad": true}], "calls": [[target or -1, "op", [args], {options}]], "loss": [indices], "at": "bob"}
// An argument {"t": 3} is tensor number 3: leaves first, then results in their order (a call in place has none).
import { createInterface } from 'node:readline';
import { TorchHook, VirtualWorker, tensor, tidy, torch } from 'tabtensor';

const hook = new TorchHook();
const workers = new Map();
const workerOf = (id) => {
  if (!workers.has(id)) workers.set(id, new VirtualWorker({ id, hook }));
  return workers.get(id);
};

async function run({ leaves, calls, loss, at, no_grad: noGrad = [] }) {
  const tensors = leaves.map(({ shape, data, requires_grad }) => {
    const made = tensor(data, { dtype: 'float64' }).reshape(shape);
    const leaf = made.detach().requires_grad_(requires_grad);
    return at === undefined ? leaf : leaf.send(workerOf(at));
  });
  const resolve = (arg) => {
    if (Array.isArray(arg)) return arg.map(resolve);
    return arg !== null && typeof arg === 'object' && 't' in arg ? tensors[arg.t] : arg;
  };
  calls.forEach(([name, args, options], i) => {
    const call = () => {
      const [self, ...rest] = args.map(resolve);
      const given = options === undefined ? rest : [...rest, options];
      return Array.isArray(self) ? torch[name](self, ...given) : self[name](...given);
    };
    const result = noGrad.includes(i) ? torch.no_grad(call) : call();
    if (!name.endsWith('_')) tensors.push(...(Array.isArray(result) ? result : [result]));
  });
  let sum = null;
  for (const i of loss) {
    const part = tensors[i].sum();
    sum = sum === null ? part : sum.add(part);
  }
  sum.backward();
  const value = await sum.item();
  const grads = [];
  for (let i = 0; i < leaves.length; i++) {
    if (!leaves[i].requires_grad) grads.push(null);
    else if (at === undefined) grads.push(tensors[i].grad === null ? null : [...(await tensors[i].grad.data())]);
    else {
      await tensors[i].get();
      grads.push(tensors[i].grad === null ? null : [...(await tensors[i].grad.data())]);
    }
  }
  return { value: String(value), grads: grads.map((grad) => grad?.map(String) ?? null) };
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = await tidy(() => run(JSON.parse(line)));
  } catch (error) {
    answer = { error: error.code ?? 'crash', message: String(error.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await hook.localWorker.close();
