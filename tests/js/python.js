// NumPy as the other side of a test: runs a script with Debian's Python, bytes in and JSON out.
import { execFileSync } from 'node:child_process';

/** What the script prints, as JSON; it finds `data` (bytes) on its standard input. */
export function python(script, data = '') {
  return JSON.parse(execFileSync('/usr/bin/python3', ['-c', script], { input: data, maxBuffer: 1 << 26 }).toString());
}

/** The bytes that the script writes to standard output. */
export const pythonBytes = (script) => new Uint8Array(execFileSync('/usr/bin/python3', ['-c', script], { maxBuffer: 1 << 26 }));
