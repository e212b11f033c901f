// The fused multiply-add of relaxed SIMD under its final number.
//
// LLVM before 16 and binaryen of that time know it by the number it had while it was a proposal, as f32x4.relaxed_fma: bytes fd af 01, where engines know
// f32x4.relaxed_madd as fd 85 02 (https://github.com/WebAssembly/relaxed-simd). The operands were named differently too (a + b * c, now a * b + c); the
// kernels give them in today's order (src/kernels/simd.h).

import { CODE, readNumber, sectionsOf } from './sections.js';

const OLD = Buffer.from([0xfd, 0xaf, 0x01]);
const NEW = Buffer.from([0xfd, 0x85, 0x02]);

/** Where the body of each function begins and ends. */
function findBodies(module) {
  const code = sectionsOf(module).find(({ id }) => id === CODE);
  if (code === undefined) return [];
  let [n, position] = readNumber(module, code.begins);
  const bodies = [];
  for (; n > 0; n--) {
    const [nBytes, first] = readNumber(module, position);
    position = first + nBytes;
    bodies.push([first, position]);
  }
  return bodies;
}

function findAll(bytes, pattern, begins, ends) {
  const found = [];
  for (let at = bytes.indexOf(pattern, begins); at >= 0 && at < ends; at = bytes.indexOf(pattern, at + pattern.length)) found.push(at);
  return found;
}

/**
 * `module` with the numbers set right; `text` is the same as wasm-dis writes it. Nothing but the text tells instructions from bytes that look the same, so
 * both have to find the same number in each function.
 */
export function renumber(module, text) {
  const functions = text.split(/^ \(func /m).slice(1);
  const bodies = findBodies(module);
  if (functions.length !== bodies.length) throw new Error(`${bodies.length} functions are ${functions.length} in the text`);
  functions.forEach((lines, i) => {
    const n = lines.split('f32x4.relaxed_fma').length - 1;
    if (n === 0) return;
    const found = findAll(module, OLD, ...bodies[i]);
    if (found.length !== n) throw new Error(`function ${i}: ${n} fused multiply-adds, but ${found.length} places that look like one`);
    for (const at of found) NEW.copy(module, at);
  });
  return module;
}
