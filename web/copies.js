/**
 * The copies of a multi-pointer, by what tensors offer to everybody: `children` are new tensors over them, to be disposed of.
 */
import { TensorError } from './errors.js';
import { checkWaiting } from './options.js';
import { tidy } from './scope.js';

const disposeAll = (tensors) => {
  for (const tensor of tensors) tensor.dispose();
};

/** Where each copy is; null for one that has come home. */
export function locationsOf(multi) {
  const children = multi.children;
  try {
    return children.map(({ location }) => location);
  } finally {
    disposeAll(children);
  }
}

/** Asks every copy something, or the first one only. */
export async function askCopies(multi, ask, n) {
  const children = multi.children;
  try {
    return await Promise.all(children.slice(0, n).map(ask));
  } finally {
    disposeAll(children);
  }
}

/** Brings all copies back. The multi-pointer ends: the list is what it stood for. */
export async function getCopies(multi, options) {
  const children = multi.children;
  try {
    await Promise.all(children.map((child) => (child.isPointer ? child.get(options) : child)));
  } catch (error) {
    disposeAll(children);
    throw error;
  }
  multi.dispose();
  return children;
}

/** The same, and what `end` makes of their sum. `use` names the caller in errors. */
export async function reduceCopies(multi, use, options, end) {
  checkWaiting(use, options);
  if (!multi.isMultiPointer)
    throw new TensorError(`${use}: the tensor is no multi-pointer; get() brings it back`, { code: 'state', op: use });
  const copies = await getCopies(multi, options);
  return tidy((scope) => {
    for (const copy of copies) scope.track(copy);
    return end(
      copies.reduce((sum, copy) => sum.add(copy)),
      copies.length,
    );
  });
}
