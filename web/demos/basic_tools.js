/**
 * Basic tools: a tensor goes to bob, is computed with there, is found there, and comes
 * back.
 *
 * `bob` is another worker: in this process, in another tab, or a native one somewhere.
 * Nothing below depends on which.
 */
import { tensor } from './module.js';

export async function basicTools({ me, bob, print, keep }) {
  // A tensor is here until it is sent. `send` gives the data to bob: from then on x is
  // a pointer, which knows where the data is and not what it is.
  const x = tensor([1, 2, 3, 4, 5]);
  print(`here:      ${x.chainPrint()}`);
  x.send(bob, { tags: ['#tutorial', '#x'], description: 'one to five' });
  print(`at bob:    ${x}`);

  // Ops on pointers run where the data is, and their results are pointers. Nothing
  // waits: the commands leave together when something is awaited.
  const y = x.add(x).mul(x);
  print(`a result:  ${y}`);

  // `get` brings the data back and takes it away from bob. An await costs one round
  // trip, however many commands were written before it.
  await y.get();
  print(`got:       ${await y.text()}`);
  // A copy, or a look at it, leaves it there.
  print(`a look:    ${await x.text()}`);

  // Numbers go along with a command. A tensor that is here does not: both operands have
  // to be at one place.
  print(`x - 1:     ${await x.sub(1).text()}`);
  const errors = [];
  const attempt = async (what, action) => {
    try {
      await action();
      throw new Error(`${what} went well, and should not have`);
    } catch (error) {
      if (error.code === undefined) throw error;
      errors.push(error.code);
      print(`${what}: ${error.message}`);
    }
  };
  await attempt('two places', () => x.add(y));
  // A shape that does not fit is an error on this line: nothing was sent.
  await attempt('a wrong shape', () => x.matmul(x.unsqueeze(0)));
  // What only the data can tell comes back from bob, with the op and its operands.
  await attempt('what bob finds', () => x.index_select(0, x.to('int64')).get());

  // bob has x still; whoever may see it finds it by its tags, its description or its
  // id. What is found is borrowed: it stays bob's object.
  const [found] = await bob.search(['#tutorial', '#x']);
  keep(found);
  print(`found:     ${found.shape} ${found.description}: sum ${await found.sum().item()}`);
  const nBefore = (await bob.list()).length;

  // Back with the last one.
  await x.get();
  const nAfter = (await bob.list()).length;
  const nTaken = nBefore - nAfter;
  print(`back:      ${await x.text()}; bob has ${nTaken} object less, ${me.id} has the data`);
  return { y: await y.array(), x: await x.array(), errors, nTaken };
}
