import assert from 'node:assert/strict';
// Not from 'tabtensor': that looks at once whether it is in a page.
import { TensorError } from '../../web/errors.js';

/** For assert.throws and assert.rejects: a TensorError of that code, whose message matches; `more` are further fields. */
export const failure =
  (code, message = /./, more = {}) =>
  (error) => {
    assert.ok(error instanceof TensorError, `${error?.stack ?? error}`);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    for (const [name, value] of Object.entries(more)) assert.deepEqual(error[name], value, name);
    return true;
  };
