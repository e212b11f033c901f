// Notes which functions of the core a tour calls: whatever core is loaded, the one in TT_TOUR_CORE (instrumented by wasm-split) runs in its place, and its
// profile is written to the folder TT_TOUR_PROFILES when the thread ends.
import { readFileSync, writeFileSync } from 'node:fs';
import { threadId } from 'node:worker_threads';

const PAGE_BYTES = 65536;
const MAX_PROFILE_BYTES = 1 << 20;

// It is built from the plain one.
WebAssembly.validate = () => false;

const instantiate = WebAssembly.instantiate.bind(WebAssembly);
WebAssembly.instantiate = async (_, imports) => {
  const made = await instantiate(readFileSync(process.env.TT_TOUR_CORE), imports);
  const { exports } = made.instance;
  process.on('exit', () => {
    const memory = Object.values(exports).find((value) => value instanceof WebAssembly.Memory);
    const at = memory.grow(MAX_PROFILE_BYTES / PAGE_BYTES) * PAGE_BYTES;
    const nBytes = exports.__write_profile(at, MAX_PROFILE_BYTES);
    writeFileSync(`${process.env.TT_TOUR_PROFILES}/${process.pid}-${threadId}`, new Uint8Array(memory.buffer, at, nBytes));
  });
  return made.instance;
};
