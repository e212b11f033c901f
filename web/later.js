/**
 * The parts of the core that not every page needs. wasm-build/to_web.js has put them into files of their own; the first call of a function that is not there
 * loads its file, there and then: a call into the core cannot wait for an answer. That is cheap in a Worker and in Node, where cores compute; a page comes
 * here only for what it rarely does itself, or for modules and gradients, of which it does the smaller part.
 */
import { TensorError } from './errors.js';
import { isNode, isPage } from './where.js';

const { readFileSync } = isNode ? await import('node:fs') : {};

function request(url) {
  const asked = new XMLHttpRequest();
  asked.open('GET', url, false);
  // A document may not ask for bytes in this way, but for text in which each character is one.
  if (isPage) asked.overrideMimeType('text/plain; charset=x-user-defined');
  else asked.responseType = 'arraybuffer';
  asked.send();
  if (asked.status !== 200) throw new Error(`the answer was ${asked.status} ${asked.statusText}`);
  return isPage ? Uint8Array.from(asked.response, (character) => character.charCodeAt(0)) : asked.response;
}

/** Puts the functions of the part at `url` into the table of the core that lacks them, whose exports are given. A part of another build does not fit them. */
export function loadPart(url, exports) {
  try {
    new WebAssembly.Instance(new WebAssembly.Module(isNode ? readFileSync(url) : request(url)), { primary: exports });
  } catch (error) {
    throw new TensorError(`a part of the core that is needed here could not be loaded from ${url}: ${error.message}`, { code: 'connection', cause: error });
  }
}
