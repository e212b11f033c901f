/**
 * What callers give beside tensors: options objects and their words. What is not known is refused, because a word that is
 * misspelt would else be ignored without anybody noticing.
 */
import { TensorError } from './errors.js';

const an = (noun) => (/^[aeiou]/i.test(noun) ? `an ${noun}` : `a ${noun}`);

/** A value in an error's sentence; never the source of a function. */
export function describe(value) {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'function') return value.name === '' ? 'a function' : `the function ${value.name}`;
  if (typeof value === 'object') return an(value.constructor?.name || 'object');
  return typeof value === 'string' ? `the string '${value}'` : `the ${typeof value} ${String(value)}`;
}

export function isPlain(value) {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Answers the options, none as an empty object; throws when there is one that is not in `allowed`. */
export function checkOptions(where, options, allowed) {
  if (options === undefined) return {};
  const fail = (message) => {
    throw new TensorError(`${where}: ${message}`, { code: 'argument' });
  };
  if (!isPlain(options)) fail(`the options are an object, such as { ${allowed[0]}: ... }, not ${describe(options)}`);
  for (const key of Object.keys(options))
    if (!allowed.includes(key)) fail(`there is no option '${key}'; there are ${allowed.join(', ')}`);
  if (options.signal !== undefined && typeof options.signal?.addEventListener !== 'function')
    fail(`signal is an AbortSignal, not ${describe(options.signal)}`);
  return options;
}

export const checkWaiting = (where, options) => checkOptions(where, options, ['signal']);

/** Tags, of which one alone may be given as a string; always a copy. */
export function listOfTags(tags) {
  const list = typeof tags === 'string' ? [tags] : Array.isArray(tags) ? [...tags] : undefined;
  if (list?.every((tag) => typeof tag === 'string')) return list;
  const wrong = list === undefined ? tags : list.find((tag) => typeof tag !== 'string');
  throw new TensorError(`tags are strings, such as ['#data'], not ${describe(wrong)}`, { code: 'argument' });
}

/** PROTOCOL.md's metadata, of what is said. */
export function metadataOf({ tags, description, policy }) {
  const metadata = {};
  const list = listOfTags(tags ?? []);
  if (list.length > 0) metadata.tags = list;
  if (description) metadata.description = description;
  if (policy !== undefined) metadata.policy = policy;
  return JSON.stringify(metadata);
}

const policies = ['open', 'compute', 'closed'];

export function checkPolicy(where, policy) {
  if (policy === undefined || policies.includes(policy)) return;
  throw new TensorError(`${where}: policy is 'open', 'compute' or 'closed', not ${describe(policy)}`, { code: 'argument' });
}

// PyTorch's other names of dtypes, which are ops here.
const dtypeOfOp = { float: 'float32', double: 'float64', int: 'int32', long: 'int64' };

/** Why a value is no dtype; `names` are those there are. */
export function noDtype(value, names) {
  const meant = typeof value === 'function' ? dtypeOfOp[value.name] : undefined;
  if (meant !== undefined) return `torch.${value.name} is an op; write torch.${meant} or '${meant}'`;
  const there = `there are ${names.join(', ')}`;
  return typeof value === 'string' ? `there is no dtype '${value}'; ${there}` : `${describe(value)} is no dtype; ${there}`;
}
