// Writes ONNX models: as much of protobuf and of onnx.proto as a graph of a few nodes needs.
const encoder = new TextEncoder();

function varint(value) {
  const bytes = [];
  for (let rest = BigInt.asUintN(64, BigInt(value)); ; rest >>= 7n) {
    if (rest < 128n) return [...bytes, Number(rest)];
    bytes.push(Number(rest & 127n) | 128);
  }
}

const number = (field, value) => [...varint(field << 3), ...varint(value)];
const bytes = (field, content) => [...varint((field << 3) | 2), ...varint(content.length), ...content];
const text = (field, string) => bytes(field, encoder.encode(string));
const FLOAT = 1;

const valueInfo = (name, shape) => [
  ...text(1, name),
  ...bytes(2, bytes(1, [...number(1, FLOAT), ...bytes(2, shape.flatMap((size) => bytes(1, number(1, size))))])),
];

/** An attribute: an integer or a list of integers. */
const attribute = (name, value) =>
  Array.isArray(value)
    ? [...text(1, name), ...value.flatMap((item) => number(8, item)), ...number(20, 7)]
    : [...text(1, name), ...number(3, value), ...number(20, 2)];

const node = ({ op, inputs, output, attributes = {} }) => [
  ...inputs.flatMap((name) => text(1, name)),
  ...text(2, output),
  ...text(4, op),
  ...Object.entries(attributes).flatMap(([name, value]) => bytes(5, attribute(name, value))),
];

/** The bytes of a model of float32 tensors: nodes are { op, inputs, output, attributes }; inputs and outputs { name, shape }. */
export function onnxModel({ nodes, inputs, outputs }) {
  const graph = [
    ...nodes.flatMap((each) => bytes(1, node(each))),
    ...text(2, 'bench'),
    ...inputs.flatMap(({ name, shape }) => bytes(11, valueInfo(name, shape))),
    ...outputs.flatMap(({ name, shape }) => bytes(12, valueInfo(name, shape))),
  ];
  return new Uint8Array([...number(1, 8), ...bytes(7, graph), ...bytes(8, [...text(1, ''), ...number(2, 17)])]);
}
