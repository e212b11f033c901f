/**
 * Advanced tools: pointers to pointers, from worker to worker, copies at several
 * workers, and a tensor kind of one's own.
 */
import { TensorKind, tensor, tidy } from './module.js';

/**
 * Addition that subtracts. A kind writes only the ops that it changes and inherits the
 * rest; its methods get tensors as they are without it.
 */
class Contrary extends TensorKind {
  static name = '_ContraryTensor';
  static rank = 777; // where it stands in the chain, among other kinds

  add(self, other, options) {
    return self.sub(other, options);
  }
}

export async function advancedTools({ hook, me, bob, alice, james, print, keep }) {
  const workers = [bob, alice, james];
  const count = async (worker) => (await worker.whoami()).objects;
  const nObjects = () => Promise.all(workers.map(count));
  const nAtFirst = await nObjects();
  const nHeld = async () => (await nObjects()).map((n, i) => n - nAtFirst[i]);

  // 1. What `send` gives away is what the tensor is: data the first time, then a
  // pointer. The data stays at bob. alice has a pointer to it, james one to hers, and
  // we have one to his.
  const x = keep(tensor([1, 2, 3]));
  x.send(bob).send(alice).send(james);
  await x.ready();
  const chain = { held: await nHeld(), places: [] };
  print(`x: ${x}; bob, alice and james hold ${chain.held.join(', ')}`);
  // An op goes along the chain and runs where the data is.
  print(`x + x, computed by bob: ${await tidy(() => x.add(x).text())}`);
  // Each `get` peels off one pointer.
  for (let i = 0; i < 3; i++) {
    chain.places.push(x.location.id);
    await x.get();
    print(`get ${i + 1}: x is ${x.location === null ? 'here' : `at ${x.location.id}`}`);
  }
  chain.values = await x.array();
  print(`x: ${await x.text()}`);

  // 2. `endGet` peels off all of them at once.
  await x.send(bob).send(alice).send(james).endGet();
  print(`endGet: ${await x.text()}; bob, alice and james hold ${(await nHeld()).join(', ')}`);

  // 3. `move`: bob gives it to alice directly. It does not pass through here.
  x.send(bob);
  await x.ready();
  const { tensorBytesIn, tensorBytesOut } = await me.counters();
  await x.move(alice).ready();
  const now = await me.counters();
  const bytesThroughUs =
    now.tensorBytesIn - tensorBytesIn + now.tensorBytesOut - tensorBytesOut;
  print(`moved: ${x}; ${bytesThroughUs} bytes of it came by here`);
  await x.get();

  // 4. Sent to several workers, each has a copy, and an op runs on each.
  const copies = keep(tensor([1, 2, 3])).send(bob, alice);
  print(`at two: ${copies.chainPrint()}`);
  copies.children[1].mul_(10); // alice's alone
  const sum = keep(await copies.add(1).sumGet());
  const both = await copies.get();
  both.forEach(keep);
  print(`bob's ${await both[0].text()} and alice's ${await both[1].text()}`);
  print(`the sum of both, plus one each: ${await sum.text()}`);

  // 5. A kind of one's own is registered once, and then put into chains, over data that
  // is here or elsewhere.
  if (!hook.kinds.has(Contrary.name)) hook.registerKind(Contrary);
  const z = keep(tensor([1, 2, 3])).send(bob).wrap(Contrary);
  const kind = await tidy(async () => {
    const results = [z.add(z), z.mul(z)];
    const [added, multiplied] = await Promise.all(results.map((result) => result.array()));
    return { chain: z.chainPrint(), added, multiplied };
  });
  print(`z: ${kind.chain}`);
  print(`z + z: [${kind.added}]; z * z, inherited: [${kind.multiplied}]`);
  await z.unwrap().get();

  const left = await nHeld();
  print(`bob, alice and james hold ${left.join(', ')}: everything is back`);
  const values = { sum: await sum.array(), both: [await both[0].array(), await both[1].array()] };
  return { chain, bytesThroughUs, ...values, kind, left };
}
