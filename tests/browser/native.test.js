// Parity S5, S18: a browser tab attaches to a native worker that listens by itself, with no relay in between.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startNative } from '../js/native.js';
import { openHouse } from './tabs.js';

const RESULT = 'tensor([ 3.,  6.,  9., 12., 14.])';

const openNative = async (t, ...options) => {
  const worker = await startNative(['worker', '--id', '2', '--port', '0', ...options]);
  t.after(() => worker.stop());
  return worker;
};

const choose = async (me, worker) => {
  await me.choose(/In a native process/);
  await me.find('#native-url').fill(`ws://localhost:${worker.port}`);
};

describe('a native worker from a tab', { timeout: 120_000 }, () => {
  test('S18: attached directly, it runs the same lines', async (t) => {
    const house = await openHouse(t);
    const worker = await openNative(t, '--allow-origin', house.origin);
    const me = await house.tab('two_tabs.html?id=me');
    await me.connected();
    await choose(me, worker);
    assert.match(await me.find('#native-command').innerText(), new RegExp(`build/release/tabtensor worker --id 2 --port ${worker.port} --allow-origin ${house.origin}`));
    await me.press('Run');
    assert.equal(await me.text('#result', 'tensor'), RESULT);
    assert.match((await me.find('#code samp').allInnerTexts()).at(-2), /^\[torch\.FloatTensor - Locations:\[<WebSocketWorker 2>\] - id:\d+\]$/);
    assert.equal(await me.find('#pointer-location').innerText(), '2');
    await me.find('#peers [data-id="2"]').waitFor();
    // Again, over the connection that is there.
    await me.press('Run');
    assert.equal(await me.text('#result', 'tensor'), RESULT);
    // The relay ends: what is attached directly goes on.
    await house.relay.stop();
    await me.find('#state[data-state="disconnected"]').waitFor();
    await me.press('Run');
    assert.equal(await me.text('#result', 'tensor'), RESULT);
  });

  test('without --allow-origin it refuses pages of another origin, and the page says so', async (t) => {
    const house = await openHouse(t);
    const worker = await openNative(t);
    const me = await house.tab('two_tabs.html?id=me');
    await me.connected();
    await choose(me, worker);
    await me.press('Run');
    assert.match(await me.problem('Line 1'), new RegExp(`localhost:${worker.port}`));
    assert.equal(await me.find('#result').isVisible(), false);
    await me.find('#code > li.failed').waitFor();
    assert.equal(await me.find('#peers > li').count(), 0);
    me.complaints.splice(0); // the browser itself reports the refused handshake
  });

  test('what is no address is refused with a word on what one looks like', async (t) => {
    const house = await openHouse(t);
    const me = await house.tab('two_tabs.html?id=me');
    await me.connected();
    await me.choose(/In a native process/);
    for (const text of ['garbage', '', 'http://localhost:8181', 'ws://']) {
      await me.find('#native-url').fill(text);
      await me.press('Run');
      assert.ok((await me.problem('Line 1')).includes(`'${text}' is not the address of a worker: one looks like ws://localhost:8181`), text);
    }
  });

  test('nobody listens there: the page says so; when somebody does, the same button works', async (t) => {
    const house = await openHouse(t);
    const gone = await startNative(['worker', '--id', '2', '--port', '0', '--allow-origin', house.origin]);
    await gone.stop();
    const me = await house.tab('two_tabs.html?id=me');
    await me.connected();
    await choose(me, gone);
    await me.press('Run');
    assert.match(await me.problem('Line 1'), new RegExp(`localhost:${gone.port}`));
    const worker = await openNative(t, '--allow-origin', house.origin);
    await choose(me, worker);
    await me.press('Run');
    assert.equal(await me.text('#result', 'tensor'), RESULT);
    me.complaints.splice(0); // the browser itself reports the refused connection
  });

  test('S5: behind the relay it is a worker like any tab', async (t) => {
    const house = await openHouse(t);
    const worker = await startNative(['worker', '--id', 'bob', '--relay', `ws://127.0.0.1:${house.relay.port}`]);
    t.after(() => worker.stop());
    const me = await house.tab('two_tabs.html?id=me');
    await me.text('#bob-state', 'bob is here');
    await me.press('Run');
    assert.equal(await me.text('#result', 'tensor'), RESULT);
  });
});
