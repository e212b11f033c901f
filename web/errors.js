/**
 * What every failure of the core becomes.
 *
 * `code` is the core's name for it ("shape", "connection", ...: PROTOCOL.md lists them); `worker` is where it went wrong and
 * `op` which op it was; `command` is the position in its run, `shapes` those of its operands, `failure` the number under which
 * one and the same failure is reported again. What is not known is undefined.
 */
export class TensorError extends Error {
  constructor(message, { code = 'state', worker, op, command, shapes, failure, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'TensorError';
    this.code = code;
    this.worker = worker;
    this.op = op;
    this.command = command;
    this.shapes = shapes;
    this.failure = failure;
  }

  /** From PROTOCOL.md's ERROR. */
  static fromWire(error) {
    const { code, message, worker, op, command, shapes, failure } = error;
    return new TensorError(message, { code, worker, op: op === '' ? undefined : op, command, shapes, failure });
  }

  /** As a plain object that crosses between threads. */
  toWire() {
    const { code, message, worker, op, command, shapes, failure } = this;
    return { code, message, worker, op, command, shapes, failure };
  }
}

/** The error of a call that was given up: `reason` is the AbortSignal's. */
export function abortError(reason) {
  return new TensorError('gave up waiting: the signal was aborted', { code: 'aborted', cause: reason });
}
