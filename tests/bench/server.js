// Serves this repository to the bench's pages: isolated, so that threads and fine clocks work in them, unless told otherwise.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { once } from 'node:events';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json' };
const ISOLATION = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cross-Origin-Resource-Policy': 'same-origin' };

/** { origin, close } of a server of a folder; `onRequest` is told the path of each file that it serves. */
export async function serveFolder(folder, { isIsolated = true, onRequest = () => {} } = {}) {
  const isolation = isIsolated ? ISOLATION : {};
  const server = createServer(async (request, response) => {
    // A URL's path has no ".." left in it.
    const path = join(folder, decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
    const about = await stat(path).catch(() => undefined);
    if (about === undefined || !about.isFile()) {
      response.writeHead(404).end();
      return;
    }
    onRequest(path);
    response.writeHead(200, { 'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream', 'Content-Length': about.size, 'Cache-Control': 'no-cache', ...isolation });
    createReadStream(path).pipe(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      // After it has stopped taking new ones: a browser opens some in advance.
      server.closeAllConnections();
      await closed;
    },
  };
}
