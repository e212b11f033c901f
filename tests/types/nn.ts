// What the types of modules and optimisers must allow, and what they must not: looked at by tsc alone.
import { func2plan, nn, optim, tidy, torch } from '../../web/index.js';
import type { BaseWorker, Tensor } from '../../web/index.js';

class Net extends nn.Module {
  fc1 = new nn.Linear(784, 128);
  fc2 = new nn.Linear(128, 10, { bias: false });
  scale = new nn.Parameter(torch.ones(1));

  override forward(x: Tensor): Tensor {
    return this.fc2.call(this.fc1.call(x).relu()).mul(this.scale);
  }
}

export async function train(worker: BaseWorker, x: Tensor, y: Tensor): Promise<number> {
  const model = new Net().send(worker);
  const lossOf = new nn.CrossEntropyLoss({ label_smoothing: 0.1 });
  const adam = new optim.Adam(model.parameters(), { lr: 0.01, betas: [0.9, 0.99] });
  const schedule = new optim.lr_scheduler.StepLR(adam, 10, 0.5);
  const loss = tidy(() => {
    adam.zero_grad();
    const made: Tensor = lossOf.call(model.forward(x), y);
    made.backward();
    nn.utils.clip_grad_norm_(model.parameters(), 1);
    adam.step();
    return made;
  });
  schedule.step();
  const stack = new nn.Sequential(new nn.LSTM(3, 4, { num_layers: 2 }), new torch.nn.ReLU());
  const [output, [h, c]] = new nn.LSTM(3, 4).call(x, [x, x]);
  console.log(stack.length, output.shape, h?.shape, c?.shape, adam.param_groups[0]?.lr, Object.keys(model.state_dict()));
  await model.move('alice').ready();
  const step = func2plan((a: Tensor, b: Tensor) => a.add(b), { state: [model, adam] });
  const sum: Tensor = step(x, y);
  // @ts-expect-error: it takes two tensors
  step(sum);
  step.dispose();
  // @ts-expect-error: lr is wanted
  new optim.SGD(model.parameters());
  // @ts-expect-error: there is no such option
  new nn.Linear(1, 2, { bia: true });
  await (await model.get()).copy().ready();
  return (await loss.item()) as number;
}
