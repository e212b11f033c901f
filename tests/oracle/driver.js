// driver.c as WebAssembly, speaking the same lines on standard input and output: compare.py --driver "node tests/oracle/driver.js". The same for
// numpy_driver.c: compare_numpy.py --driver "node tests/oracle/driver.js numpy_driver".
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';

const program = process.argv.slice(2).find((word) => !word.startsWith('--')) ?? 'oracle_driver';
const built = new URL('../../build/wasm/', import.meta.url);
const { default: createDriver } = await import(new URL(`${program}.js`, built));

let memory;
const driver = await createDriver({
  print: (line) => process.stdout.write(`${line}\n`),
  printErr: (line) => process.stderr.write(`${line}\n`),
  instantiateWasm(imports, receive) {
    readFile(new URL(`${program}.wasm`, built))
      .then((bytes) => WebAssembly.instantiate(bytes, imports))
      .then(({ instance }) => {
        memory = Object.values(instance.exports).find((value) => value instanceof WebAssembly.Memory);
        receive(instance);
      });
    return {};
  },
});

driver._oracle_begin();
if (process.argv.includes('--table')) {
  driver._oracle_table();
} else {
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const bytes = Buffer.from(`${line}\0`);
    const at = driver._malloc(bytes.length) >>> 0;
    new Uint8Array(memory.buffer).set(bytes, at);
    driver._oracle_line(at);
    driver._free(at);
  }
}
