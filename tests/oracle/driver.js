// driver.c as WebAssembly, speaking the same lines on standard input and output: compare.py --driver "node tests/oracle/driver.js".
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';

const built = new URL('../../build/wasm/', import.meta.url);
const { default: createDriver } = await import(new URL('oracle_driver.js', built));

let memory;
const driver = await createDriver({
  print: (line) => process.stdout.write(`${line}\n`),
  printErr: (line) => process.stderr.write(`${line}\n`),
  instantiateWasm(imports, receive) {
    readFile(new URL('oracle_driver.wasm', built))
      .then((bytes) => WebAssembly.instantiate(bytes, imports))
      .then(({ instance }) => {
        memory = Object.values(instance.exports).find((value) => value instanceof WebAssembly.Memory);
        receive(instance);
      });
    return {};
  },
});

driver._oracle_begin();
if (process.argv[2] === '--table') {
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
