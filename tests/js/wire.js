/**
 * The protocol's frames in JavaScript: a reader and a writer made from src/wire/PROTOCOL.md alone. It shares nothing with the C code, so that
 * tests can speak to workers and relays as anybody might: rightly, or with any bytes they like.
 *
 * Numbers of 64 bits are BigInt; bytes are Uint8Array. The writers check nothing. The readers throw a WireError whose `code` is a status name for
 * whatever the layout alone can tell; the fields of JSON are the caller's to judge.
 *
 *     const frame = encodeFrame({ type: 'RUN', source: 'alice', destination: 'bob', stream: 7, sequence: 1n }, encodeRun([{ kind: 'SYNC', request: 5n }]))
 *     const { prelude, payload } = decodeFrame(frame)
 *     const [record] = decodeRun(payload)
 */

export const MAX_FRAME_BYTES = 262144

export const FRAME_TYPES = {
  HELLO: 0x01, WELCOME: 0x02, JOINED: 0x03, LEFT: 0x04, REFUSED: 0x05, GOODBYE: 0x06, RUN: 0x10, DATA: 0x11, CONTROL: 0x12, CREDIT: 0x13,
}

export const STATUSES = [
  'ok', 'memory', 'argument', 'shape', 'dtype', 'index', 'unknown_op', 'unknown_object', 'unknown_worker', 'duplicate', 'location', 'policy',
  'full', 'protocol', 'version', 'connection', 'numeric', 'state', 'aborted', 'system',
]

export const DTYPES = ['bool', 'uint8', 'int32', 'int64', 'float32', 'float64']

const DTYPE_BYTES = [1, 1, 4, 8, 4, 8]
const RECORD_KINDS = ['', 'CALL', 'FREE', 'FETCH', 'SEND', 'PULL', 'SYNC', 'DONE', 'PROMISE', 'ASSIGN', 'TENSOR', 'PLAN', 'PERFORM']
/** SEND has one of its flags at most. */
const MOST_FLAGS = { CALL: 1, FETCH: 3, SEND: 2, TENSOR: 2, PLAN: 1 }
const ARGUMENT_TYPES = ['none', 'operand', 'operands', 'bool', 'int', 'float', 'ints', 'dtype', 'string']
const FORMS = ['tensor', 'pointer']
const PRELUDE_BYTES = 40
const MAX_ID_BYTES = 64
const MAX_ITEMS = 4096
const MAX_ARGUMENTS = 16
const MAX_RESULTS = 64
const MAX_DIMS = 8
const DIMS_NOT_KNOWN = 255
const MAX_ELEMENTS = 1n << 48n
const MAX_DEPTH = 16
const KNOWN_FLAGS = { HELLO: 1, LEFT: 1, REFUSED: 1, DATA: 3 }
const SEQUENCED = new Set(['RUN', 'DATA', 'CONTROL'])
const WITHOUT_STREAM = new Set(['WELCOME', 'JOINED', 'LEFT', 'REFUSED', 'GOODBYE'])
const RELAYS_ALONE = new Set(['WELCOME', 'JOINED', 'LEFT'])
const EMPTY = new Set(['GOODBYE', 'CREDIT'])
const TYPE_NAMES = new Map(Object.entries(FRAME_TYPES).map(([name, number]) => [number, name]))

export class WireError extends Error {
  constructor(code, message) {
    super(message)
    this.name = 'WireError'
    this.code = code
  }
}

const fail = (message, code = 'protocol') => {
  throw new WireError(code, message)
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export const encodeText = (text) => encoder.encode(text)

export const decodeText = (bytes) => {
  try {
    return decoder.decode(bytes)
  } catch {
    return fail('text that is not UTF-8')
  }
}

export const toHex = (bytes) => Buffer.from(bytes).toString('hex')
export const fromHex = (hex) => new Uint8Array(Buffer.from(hex, 'hex'))

/** Appends little-endian numbers and bytes. */
export class Writer {
  #bytes = new Uint8Array(256)
  #view = new DataView(this.#bytes.buffer)
  #size = 0

  #room(n) {
    if (this.#size + n > this.#bytes.length) {
      const larger = new Uint8Array(2 * (this.#size + n))
      larger.set(this.#bytes)
      this.#bytes = larger
      this.#view = new DataView(larger.buffer)
    }
    const at = this.#size
    this.#size += n
    return at
  }

  u8(value) {
    const at = this.#room(1)
    this.#view.setUint8(at, value)
    return this
  }

  u16(value) {
    const at = this.#room(2)
    this.#view.setUint16(at, value, true)
    return this
  }

  u32(value) {
    const at = this.#room(4)
    this.#view.setUint32(at, value, true)
    return this
  }

  u64(value) {
    const at = this.#room(8)
    this.#view.setBigUint64(at, BigInt(value), true)
    return this
  }

  i64(value) {
    const at = this.#room(8)
    this.#view.setBigInt64(at, BigInt(value), true)
    return this
  }

  bytes(bytes) {
    const at = this.#room(bytes.length)
    this.#bytes.set(bytes, at)
    return this
  }

  align(n) {
    while (this.#size % n !== 0) this.u8(0)
    return this
  }

  /** u8 bytes, text: a worker's id. */
  name(id) {
    const bytes = encodeText(id)
    return this.u8(bytes.length).bytes(bytes)
  }

  done() {
    return this.#bytes.slice(0, this.#size)
  }
}

/** Takes little-endian numbers and bytes; throws where they end. */
export class Reader {
  #bytes
  #view
  #at = 0

  constructor(bytes) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  #take(n) {
    if (n > this.left) fail(`${n} bytes are needed where ${this.left} are left`)
    const at = this.#at
    this.#at += n
    return at
  }

  get left() {
    return this.#bytes.length - this.#at
  }

  u8() {
    return this.#view.getUint8(this.#take(1))
  }

  u16() {
    return this.#view.getUint16(this.#take(2), true)
  }

  u32() {
    return this.#view.getUint32(this.#take(4), true)
  }

  u64() {
    return this.#view.getBigUint64(this.#take(8), true)
  }

  i64() {
    return this.#view.getBigInt64(this.#take(8), true)
  }

  bytes(n) {
    const at = this.#take(n)
    return this.#bytes.subarray(at, at + n)
  }

  zeros(n) {
    if (this.bytes(n).some((byte) => byte !== 0)) fail('padding that is not 0')
  }

  id() {
    return this.u64() || fail('an id of 0')
  }

  name() {
    return checkId(this.bytes(this.u8()))
  }
}

/** The worker id that stands in `bytes`. */
const checkId = (bytes) => {
  if (bytes.length < 1 || bytes.length > MAX_ID_BYTES) fail(`a worker id of ${bytes.length} bytes`)
  const id = decodeText(bytes)
  // eslint-disable-next-line no-control-regex -- they are what is looked for
  if (/[\u0000-\u001f\u007f-\u009f]/.test(id)) fail('a worker id with a control character')
  return id
}

const times = (n, make) => Array.from({ length: n }, make)

/* ---- frames ---- */

/**
 * A whole frame. `type` is a name or a number. Whatever the prelude leaves out is 0 or ""; `version`, `length` and `magic` may be given to lie with.
 */
export const encodeFrame = (prelude, payload = new Uint8Array()) => {
  const { type, flags = 0, source = '', destination = '', stream = 0, sequence = 0n, acknowledgement = 0n, credit = 0n, version = 1, magic = 0x5454 } = prelude
  const [from, to] = [source, destination].map((id) => (typeof id === 'string' ? encodeText(id) : id))
  const preludeBytes = Math.ceil((PRELUDE_BYTES + from.length + to.length) / 8) * 8
  return new Writer()
    .u16(magic).u8(version).u8(FRAME_TYPES[type] ?? type).u16(flags).u8(from.length).u8(to.length)
    .u32(prelude.length ?? preludeBytes + payload.length).u32(stream).u64(sequence).u64(acknowledgement).u64(credit)
    .bytes(from).bytes(to).align(8).bytes(payload).done()
}

/** {prelude, payload} of one whole frame. */
export const decodeFrame = (bytes) => {
  const reader = new Reader(bytes)
  if (reader.u16() !== 0x5454) fail('other magic')
  const version = reader.u8()
  if (version !== 1) fail(`version ${version}`, 'version')
  const number = reader.u8()
  const type = TYPE_NAMES.get(number) ?? fail(`frame type ${number}`)
  const flags = reader.u16()
  const sourceBytes = reader.u8()
  const destinationBytes = reader.u8()
  const length = reader.u32()
  if (length > MAX_FRAME_BYTES || length !== bytes.length) fail(`a length of ${length} where ${bytes.length} bytes came`)
  const stream = reader.u32()
  const sequence = reader.u64()
  const acknowledgement = reader.u64()
  const credit = reader.u64()
  if ((flags & ~(KNOWN_FLAGS[type] ?? 0)) !== 0) fail(`flags ${flags} in ${type}`)
  if (WITHOUT_STREAM.has(type) && stream !== 0) fail(`a stream in ${type}`)
  if (SEQUENCED.has(type) !== (sequence !== 0n)) fail(`sequence ${sequence} in ${type}`)
  if (RELAYS_ALONE.has(type) ? sourceBytes !== 0 : sourceBytes === 0 && type !== 'REFUSED') fail(`a source of ${sourceBytes} bytes in ${type}`)
  const source = sourceBytes === 0 ? '' : checkId(reader.bytes(sourceBytes))
  const destination = destinationBytes === 0 ? '' : checkId(reader.bytes(destinationBytes))
  reader.zeros(-(sourceBytes + destinationBytes) & 7)
  const payload = reader.bytes(reader.left)
  if (EMPTY.has(type) && payload.length !== 0) fail(`a payload in ${type}`)
  return { prelude: { type, flags, length, stream, sequence, acknowledgement, credit, source, destination }, payload }
}

/* ---- payloads of a relay ---- */

export const encodeWorkers = (ids) => ids.reduce((writer, id) => writer.name(id), new Writer()).done()

export const decodeWorkers = (payload) => {
  const reader = new Reader(payload)
  const ids = []
  while (reader.left > 0) ids.push(reader.name())
  return ids
}

export const encodeRefusal = ({ status, refused, id, reason }) =>
  new Writer().u16(STATUSES.indexOf(status)).u8(refused).name(id).bytes(encodeText(reason)).done()

export const decodeRefusal = (payload) => {
  const reader = new Reader(payload)
  const number = reader.u16()
  const status = number === 0 ? undefined : STATUSES[number]
  if (status === undefined) fail(`status ${number} in REFUSED`)
  const refused = reader.u8()
  const idBytes = reader.u8()
  const id = idBytes === 0 ? '' : checkId(reader.bytes(idBytes))
  return { status, refused, id, reason: decodeText(reader.bytes(reader.left)) }
}

/* ---- runs: arrays of {kind, ...} as in frames.json, with BigInt for 64 bits ---- */

/** A float's 64 bits, so that no NaN is lost; `float` gives the usual way. */
export const float = (value) => {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  return { type: 'float', bits: view.getBigUint64(0) }
}

export const floatValue = ({ bits }) => {
  const view = new DataView(new ArrayBuffer(8))
  view.setBigUint64(0, bits)
  return view.getFloat64(0)
}

const WRITE_VALUE = {
  none: () => {},
  operand: (writer, { id }) => writer.u64(id),
  operands: (writer, { ids }) => ids.reduce((w, id) => w.u64(id), writer.u32(ids.length)),
  bool: (writer, { value }) => writer.u8(value ? 1 : 0),
  int: (writer, { value }) => writer.i64(value),
  float: (writer, { bits }) => writer.u64(bits),
  ints: (writer, { values }) => values.reduce((w, value) => w.i64(value), writer.u32(values.length)),
  dtype: (writer, { value }) => writer.u8(DTYPES.indexOf(value)),
  string: (writer, { value }) => {
    const bytes = encodeText(value)
    writer.u32(bytes.length).bytes(bytes)
  },
}

const listLength = (reader) => {
  const n = reader.u32()
  return n <= MAX_ITEMS ? n : fail(`a list of ${n}`)
}

const READ_VALUE = {
  none: () => ({}),
  operand: (reader) => ({ id: reader.id() }),
  operands: (reader) => ({ ids: times(listLength(reader), () => reader.id()) }),
  bool: (reader) => {
    const byte = reader.u8()
    return { value: byte <= 1 ? byte === 1 : fail(`a bool of ${byte}`) }
  },
  int: (reader) => ({ value: reader.i64() }),
  float: (reader) => ({ bits: reader.u64() }),
  ints: (reader) => ({ values: times(listLength(reader), () => reader.i64()) }),
  dtype: (reader) => ({ value: DTYPES[reader.u8()] ?? fail('an unknown dtype') }),
  string: (reader) => ({ value: decodeText(reader.bytes(listLength(reader))) }),
}

const WRITE_RECORD = {
  CALL: (writer, { no_grad: noGrad = false, op, args, results }) => {
    writer.u8(noGrad ? 1 : 0).u16(op).u8(args.length).u8(results.length)
    for (const id of results) writer.u64(id)
    for (const arg of args) {
      writer.u8(ARGUMENT_TYPES.indexOf(arg.type))
      WRITE_VALUE[arg.type](writer, arg)
    }
  },
  FREE: (writer, { ids }) => ids.reduce((w, id) => w.u64(id), writer.u8(0).u16(ids.length)),
  FETCH: (writer, { take, gradients = false, request, object }) => writer.u8((take ? 1 : 0) | (gradients ? 2 : 0)).u64(request).u64(object),
  SEND: (writer, { flags = 0, request, object, id_there: there, worker }) => writer.u8(flags).u64(request).u64(object).u64(there).name(worker),
  PULL: (writer, { request, object }) => writer.u8(0).u64(request).u64(object),
  SYNC: (writer, { request }) => writer.u8(0).u64(request),
  DONE: (writer, { request }) => writer.u8(0).u64(request),
  PROMISE: (writer, { object, worker }) => writer.u8(0).u64(object).name(worker),
  ASSIGN: (writer, { request, object, worker }) => writer.u8(0).u64(request).u64(object).name(worker),
  TENSOR: (writer, { worker, data }) => {
    if (worker === '') writer.u8(0)
    else writer.u8(2).name(worker)
    writer.u32(data.length).bytes(data)
  },
  PLAN: (writer, { plan, forget = false, slots, inputs, outputs, records }) => {
    writer.u8(forget ? 1 : 0).u64(plan)
    if (forget) return
    writer.u32(slots).u16(inputs).u8(outputs.length)
    for (const slot of outputs) writer.u32(slot)
    const body = encodeRun(records)
    writer.u32(body.length).bytes(body)
  },
  PERFORM: (writer, { plan, inputs, outputs }) => {
    writer.u8(0).u64(plan).u16(inputs.length).u8(outputs.length)
    for (const id of [...inputs, ...outputs]) writer.u64(id)
  },
}

const readCall = (reader, flags) => {
  const op = reader.u16()
  const nArgs = reader.u8()
  const nResults = reader.u8()
  if (nArgs > MAX_ARGUMENTS || nResults > MAX_RESULTS) fail(`${nArgs} arguments, ${nResults} results`)
  const results = times(nResults, () => reader.id())
  const args = times(nArgs, () => {
    const number = reader.u8()
    const type = ARGUMENT_TYPES[number] ?? fail(`argument type ${number}`)
    return { type, ...READ_VALUE[type](reader) }
  })
  return { ...(flags === 1 ? { no_grad: true } : {}), op, results, args }
}

const readPlan = (reader, flags) => {
  const plan = reader.id()
  if (flags === 1) return { plan, forget: true }
  const [slots, inputs, nOutputs] = [reader.u32(), reader.u16(), reader.u8()]
  if (nOutputs > MAX_RESULTS) fail(`${nOutputs} results`)
  const outputs = times(nOutputs, () => reader.u32())
  return { plan, slots, inputs, outputs, records: decodeRun(reader.bytes(reader.u32())) }
}

const readPerform = (reader) => {
  const [plan, nInputs, nOutputs] = [reader.id(), reader.u16(), reader.u8()]
  if (nOutputs > MAX_RESULTS) fail(`${nOutputs} results`)
  return { plan, inputs: times(nInputs, () => reader.id()), outputs: times(nOutputs, () => reader.id()) }
}

const READ_RECORD = {
  CALL: readCall,
  FREE: (reader) => ({ ids: times(reader.u16(), () => reader.id()) }),
  FETCH: (reader, flags) => ({ take: (flags & 1) !== 0, ...(flags & 2 ? { gradients: true } : {}), request: reader.id(), object: reader.id() }),
  SEND: (reader, flags) => ({ flags, request: reader.id(), object: reader.id(), id_there: reader.id(), worker: reader.name() }),
  PULL: (reader) => ({ request: reader.id(), object: reader.id() }),
  SYNC: (reader) => ({ request: reader.id() }),
  DONE: (reader) => ({ request: reader.id() }),
  PROMISE: (reader) => ({ object: reader.id(), worker: reader.name() }),
  ASSIGN: (reader) => ({ request: reader.id(), object: reader.id(), worker: reader.name() }),
  TENSOR: (reader, flags) => ({ worker: flags === 0 ? '' : flags === 2 ? reader.name() : fail(`flags ${flags} in TENSOR`), data: reader.bytes(reader.u32()) }),
  PLAN: readPlan,
  PERFORM: readPerform,
}

export const encodeRun = (records) => {
  const writer = new Writer()
  for (const record of records) {
    writer.u8(RECORD_KINDS.indexOf(record.kind))
    WRITE_RECORD[record.kind](writer, record)
  }
  return writer.done()
}

export const decodeRun = (payload) => {
  const reader = new Reader(payload)
  const records = []
  while (reader.left > 0) {
    const number = reader.u8()
    const kind = RECORD_KINDS[number] || fail(`record kind ${number}`)
    const flags = reader.u8()
    if (flags > (MOST_FLAGS[kind] ?? 0)) fail(`flags ${flags} in ${kind}`)
    records.push({ kind, ...READ_RECORD[kind](reader, flags) })
  }
  return records
}

/* ---- tensors ---- */

/** The payload of a first DATA frame. `dims` are null when they are not known (of a pointer only), `metadata` is null or what JSON.stringify takes; `elements` the bytes that come in this frame. */
export const encodeData = ({ transfer, object = 0n, form = 'tensor', dtype, dims, total_bytes: total, metadata = null, gradients = 0, elements = new Uint8Array() }) => {
  const json = metadata === null ? new Uint8Array() : encodeJson(metadata)
  const writer = new Writer().u64(transfer).u64(object).u8(FORMS.indexOf(form)).u8(DTYPES.indexOf(dtype)).u8(dims?.length ?? DIMS_NOT_KNOWN).u8(gradients)
  writer.u32(json.length).u64(total ?? elements.length)
  for (const dim of dims ?? []) writer.i64(dim)
  return writer.bytes(json).align(8).bytes(elements).done()
}

/** The payload of a DATA frame with flag 1. */
export const encodeDataMore = ({ transfer, elements }) => new Writer().u64(transfer).bytes(elements).done()

const countElements = (dims) => {
  if (dims.some((dim) => dim < 0n)) fail('a negative dimension', 'shape')
  const n = dims.reduce((product, dim) => product * dim, 1n)
  return n <= MAX_ELEMENTS ? n : fail(`${n} elements`, 'shape')
}

export const decodeData = (payload) => {
  const reader = new Reader(payload)
  const transfer = reader.id()
  const object = reader.u64()
  const form = FORMS[reader.u8()] ?? fail('an unknown form')
  const dtypeNumber = reader.u8()
  const dtype = DTYPES[dtypeNumber] ?? fail(`dtype ${dtypeNumber}`)
  const nDims = reader.u8()
  const gradients = reader.u8()
  if (gradients > (form === 'pointer' ? 1 : 3)) fail(`flags ${gradients} about gradients`)
  if (gradients !== 0 && !dtype.startsWith('float')) fail(`a gradient of ${dtype}`)
  const metadataBytes = reader.u32()
  const total = reader.u64()
  const isOpen = form === 'pointer' && nDims === DIMS_NOT_KNOWN
  const dims = isOpen ? null : times(nDims, () => reader.i64())
  const json = reader.bytes(metadataBytes)
  reader.zeros(-metadataBytes & 7)
  if (nDims > MAX_DIMS && !isOpen) fail(`${nDims} dimensions`, 'shape')
  const wanted = form === 'pointer' ? 0n : countElements(dims) * BigInt(DTYPE_BYTES[dtypeNumber]) * (gradients & 2 ? 2n : 1n)
  if (total !== wanted || BigInt(reader.left) > total) fail(`${total} bytes announced and ${reader.left} here where ${wanted} are needed`)
  const elements = reader.bytes(reader.left)
  if (dtype === 'bool' && elements.some((byte) => byte > 1)) fail('a bool that is neither 0 nor 1')
  return { transfer, object, form, dtype, dims, total_bytes: total, metadata: metadataBytes === 0 ? null : decodeJson(json), ...(gradients === 0 ? {} : { gradients }), elements }
}

export const decodeDataMore = (payload) => {
  const reader = new Reader(payload)
  const transfer = reader.u64()
  return { transfer, elements: reader.left > 0 ? reader.bytes(reader.left) : fail('a continuation without bytes') }
}

/* ---- JSON ---- */

export const encodeJson = (value) => encodeText(JSON.stringify(value))

/** Depth of the brackets outside strings. */
const depthOf = (text) => {
  let depth = 0
  let deepest = 0
  for (const [bracket] of text.replace(/"(?:[^"\\]|\\.)*"/gs, '').matchAll(/[[\]{}]/g)) {
    depth += '[{'.includes(bracket) ? 1 : -1
    deepest = Math.max(deepest, depth)
  }
  return deepest
}

const parse = (text) => {
  try {
    return JSON.parse(text, (key, value) => {
      for (const string of [key, value]) {
        if (typeof string === 'string' && (string.includes('\0') || !string.isWellFormed())) fail('a string that is no text')
      }
      return value
    })
  } catch (error) {
    return error instanceof WireError ? fail(error.message) : fail('text that is no JSON')
  }
}

export const decodeJson = (payload) => {
  const text = decodeText(payload)
  if (depthOf(text) > MAX_DEPTH) fail(`JSON deeper than ${MAX_DEPTH} levels`)
  const value = parse(text)
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : fail('JSON that is no object')
}

/* ---- all of it ---- */

const PAYLOADS = {
  HELLO: { decode: (payload) => ({ json: decodeJson(payload) }), encode: ({ json }) => encodeJson(json) },
  WELCOME: { decode: (payload) => ({ workers: decodeWorkers(payload) }), encode: ({ workers }) => encodeWorkers(workers) },
  JOINED: {
    decode: (payload) => {
      const [worker, ...others] = decodeWorkers(payload)
      return worker !== undefined && others.length === 0 ? { worker } : fail('not one worker')
    },
    encode: ({ worker }) => encodeWorkers([worker]),
  },
  REFUSED: { decode: decodeRefusal, encode: encodeRefusal },
  GOODBYE: { decode: () => ({}), encode: () => new Uint8Array() },
  RUN: { decode: (payload) => ({ records: decodeRun(payload) }), encode: ({ records }) => encodeRun(records) },
  DATA: {
    decode: (payload, { flags }) => (flags & 1 ? { continues: true, ...decodeDataMore(payload) } : { continues: false, ...decodeData(payload) }),
    encode: (data) => (data.continues ? encodeDataMore(data) : encodeData(data)),
  },
}
Object.assign(PAYLOADS, { LEFT: PAYLOADS.JOINED, CONTROL: PAYLOADS.HELLO, CREDIT: PAYLOADS.GOODBYE })

/** {prelude, payload} with the payload taken apart by its type, in the form that frames.json has it, with BigInt for 64 bits and bytes for hex. */
export const decode = (bytes) => {
  const { prelude, payload } = decodeFrame(bytes)
  return { prelude, payload: PAYLOADS[prelude.type].decode(payload, prelude) }
}

/** The frame of what `decode` answers; `prelude.length` is worked out. */
export const encode = ({ prelude, payload }) => encodeFrame({ ...prelude, length: undefined }, PAYLOADS[prelude.type].encode(payload))
