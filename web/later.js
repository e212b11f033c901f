/**
 * The parts of the core that not every page needs. wasm-build/to_web.js has put them into files of their own; in their place there are imports, and the first
 * call of one loads its file, there and then: a call into the core cannot wait for an answer. That is cheap in a Worker and in Node, where cores compute; a
 * page comes here only for what it rarely does itself, or for modules and gradients, of which it does the smaller part.
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

function load(url) {
  try {
    return new WebAssembly.Module(isNode ? readFileSync(url) : request(url));
  } catch (error) {
    throw new TensorError(`a part of the core that is needed here could not be loaded from ${url}: ${error.message}`, { code: 'connection', cause: error });
  }
}

/** What stands in for the functions of the file at `urlOf()`; `primary()` answers the exports of the core that lacks them. */
export function standIns(urlOf, primary) {
  let table;
  return new Proxy(
    {},
    {
      get:
        (_, slot) =>
        (...args) => {
          if (table === undefined) {
            const exports = primary();
            new WebAssembly.Instance(load(urlOf()), { primary: exports });
            table = Object.values(exports).find((value) => value instanceof WebAssembly.Table);
          }
          // The file has put its functions where these were.
          return table.get(Number(slot))(...args);
        },
    },
  );
}
