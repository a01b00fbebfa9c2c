import type { Draw } from "../../pipeline/support/draw.ts";

/** What readers tend to trip over, as bytes: lengths and tags of protobuf, lengths of safetensors, numbers and names as text. */
const hostile: readonly Uint8Array[] = [
  ...[
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    [0xff, 0xff, 0xff, 0xff, 0x07],
    [0x80, 0x80, 0x80, 0x80, 0x10],
    [0, 0, 0, 0, 0, 0, 0, 0x80],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0],
    [0x0b],
    [0x0c],
    [0, 0, 0xc0, 0x7f],
    [0xed, 0xa0, 0x80],
    [0],
  ].map((bytes) => Uint8Array.from(bytes)),
  ...[
    "9223372036854775808",
    "9007199254740993",
    "-1",
    "-0",
    "1e400",
    "1.5",
    "NaN",
    "__proto__",
    "constructor",
    "../secret",
    "/dev/zero",
    "a/../../secret",
    "*/_ORT_MEM_ADDR_/*",
    "[".repeat(200),
    "(".repeat(200),
    '{"a":'.repeat(60),
    "[4611686018427387904, 4]",
    "f32[99999999, 99999999]",
    "(a + b)*(c + d)*(e + f)*(g + h)*(i + j)*(k + l)*(m + n)*(o + p)*(q + r)*(s + t)*(u + v)*(w + x)",
    "((((S^8)^8)^8)^8)^8",
    "floor(S/0)",
    '"\\u0000"',
    "\\ud800",
    "\u202e",
    "\u001b[2J",
    "\n",
    "%",
    "#",
    '"',
  ].map((text) => new TextEncoder().encode(text)),
];

const spliced = (bytes: Uint8Array, from: number, to: number, middle: Uint8Array): Uint8Array => {
  const result = new Uint8Array(from + middle.length + bytes.length - to);
  result.set(bytes.subarray(0, from));
  result.set(middle, from);
  result.set(bytes.subarray(to), from + middle.length);
  return result;
};

type Mutation = (draw: Draw, bytes: Uint8Array, other: Uint8Array) => Uint8Array;

const changed = (bytes: Uint8Array, at: number, to: (byte: number) => number): Uint8Array => {
  const copy = Uint8Array.from(bytes);
  if (copy.length > 0) copy[at] = to(copy[at]!);
  return copy;
};
const place = (draw: Draw, bytes: Uint8Array) => draw.int(0, Math.max(bytes.length - 1, 0));
const span = (draw: Draw, bytes: Uint8Array, most: number): readonly [number, number] => {
  const from = place(draw, bytes);
  return [from, Math.min(from + draw.int(0, most), bytes.length)];
};

const mutations: readonly Mutation[] = [
  (draw, bytes) => changed(bytes, place(draw, bytes), (byte) => byte ^ (1 << draw.int(0, 7))),
  (draw, bytes) => changed(bytes, place(draw, bytes), () => draw.int(0, 255)),
  (draw, bytes) => changed(bytes, place(draw, bytes), (byte) => byte + draw.pick([1, -1, 2, -2, 127])),
  (draw, bytes) => bytes.slice(0, place(draw, bytes)),
  (draw, bytes) => spliced(bytes, ...span(draw, bytes, 32), new Uint8Array(0)),
  (draw, bytes) => spliced(bytes, ...span(draw, bytes, 2), draw.pick(hostile)),
  (draw, bytes) => spliced(bytes, ...span(draw, bytes, 24), draw.pick(hostile)),
  (draw, bytes) => {
    const [from, to] = span(draw, bytes, 200);
    return spliced(bytes, to, to, bytes.subarray(from, to));
  },
  (draw, bytes) => {
    const part = bytes.subarray(...span(draw, bytes, 12));
    const times = draw.int(2, 300);
    const repeated = Uint8Array.from({ length: part.length * times }, (_, i) => part[i % part.length]!);
    const at = place(draw, bytes);
    return spliced(bytes, at, at, repeated);
  },
  (draw, bytes, other) => spliced(bytes, ...span(draw, bytes, 200), other.subarray(...span(draw, other, 200))),
  (draw, bytes, other) => spliced(bytes, place(draw, bytes), bytes.length, other.subarray(place(draw, other))),
];

const mostMutations = 5;

/** One of the files, damaged in one to five places; parts of another may come in. */
export function mutated(draw: Draw, files: readonly Uint8Array[]): Uint8Array {
  let bytes = draw.pick(files);
  for (let i = draw.int(1, mostMutations); i > 0; i--) bytes = draw.pick(mutations)(draw, bytes, draw.pick(files));
  return bytes;
}
