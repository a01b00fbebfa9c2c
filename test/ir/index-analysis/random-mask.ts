import fc from "fast-check";
import type { IndexFn } from "../../../src/ir/index-expr/functions.ts";
import {
  applied,
  constant,
  type IndexExpr,
  type IndexTable,
  index,
  length,
  lookup,
} from "../../../src/ir/index-expr/types.ts";
import { table } from "./formula.ts";

/** Tables random masks read: rising, irregular, of two axes, of fractions, of one element. */
export const tables: readonly IndexTable[] = [
  table("rising", [0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 5, 5, 5, 5, 5, 5, 6, 6, 6, 7, 7]),
  table(
    "irregular",
    Array.from({ length: 100 }, (_, i) => ((i * 37) % 11) - 3),
  ),
  table(
    "square",
    Array.from({ length: 144 }, (_, i) => (i * i) % 7),
    [12, 12],
  ),
  table("fractions", [0.5, -1.25, 3, 2.75, 0.125, 9]),
  table("one", [4]),
];

const small = fc.integer({ min: -3, max: 12 }).map(constant);
const leaf = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(index("q"), index("k")) },
  { weight: 1, arbitrary: fc.constantFrom(index("h"), index("b"), length("Q"), length("K")) },
  { weight: 3, arbitrary: small },
  { weight: 1, arbitrary: fc.constantFrom(0.5, -1.5, 2.25, 1e9, 31, 64).map(constant) },
);

const unary: readonly IndexFn[] = [
  "neg",
  "abs",
  "floor",
  "ceil",
  "round",
  "trunc",
  "sign",
  "bitNot",
  "sqrt",
  "exp",
  "log",
  "tanh",
  "sin",
];
const binary: readonly IndexFn[] = [
  "add",
  "add",
  "sub",
  "sub",
  "mul",
  "div",
  "mod",
  "mod",
  "min",
  "max",
  "pow",
  "bitAnd",
  "bitOr",
  "bitXor",
  "shiftLeft",
  "shiftRight",
  "shiftRightUnsigned",
];
const relations: readonly IndexFn[] = ["equal", "notEqual", "less", "lessEqual", "greater", "greaterEqual"];

const { number, truth } = fc.letrec<{ number: IndexExpr; truth: IndexExpr }>((tie) => ({
  number: fc.oneof(
    { maxDepth: 4 },
    { weight: 3, arbitrary: leaf },
    { weight: 2, arbitrary: fc.tuple(fc.constantFrom(...unary), tie("number")).map(([fn, x]) => applied(fn, x)) },
    {
      weight: 5,
      arbitrary: fc
        .tuple(fc.constantFrom(...binary), tie("number"), tie("number"))
        .map(([fn, x, y]) => applied(fn, x, y)),
    },
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.constantFrom<IndexFn>("div", "mod"), tie("number"), fc.integer({ min: 1, max: 9 }))
        .map(([fn, x, n]) =>
          fn === "div" ? applied("floor", applied(fn, x, constant(n))) : applied(fn, x, constant(n)),
        ),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(tie("truth"), tie("number"), tie("number")).map(([c, x, y]) => applied("select", c, x, y)),
    },
    { weight: 2, arbitrary: fc.tuple(fc.constantFrom(0, 1, 3, 4), tie("number")).map(([t, x]) => lookup(t, [x])) },
    { weight: 1, arbitrary: fc.tuple(tie("number"), tie("number")).map(([x, y]) => lookup(2, [x, y])) },
  ),
  truth: fc.oneof(
    { maxDepth: 4 },
    {
      weight: 4,
      arbitrary: fc
        .tuple(fc.constantFrom(...relations), tie("number"), tie("number"))
        .map(([fn, x, y]) => applied(fn, x, y)),
    },
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.constantFrom<IndexFn>("and", "or"), tie("truth"), tie("truth"))
        .map(([fn, x, y]) => applied(fn, x, y)),
    },
    { weight: 1, arbitrary: tie("truth").map((x) => applied("not", x)) },
    { weight: 1, arbitrary: tie("number") },
  ),
}));

/** Any mask of the grammar: what it means need not be sensible. */
export const randomMask = truth;
export const randomNumber = number;

const affine = fc
  .tuple(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -3, max: 3 }), fc.integer({ min: -20, max: 20 }))
  .map(([a, c, d]) =>
    applied(
      "add",
      applied("sub", applied("mul", constant(a), index("q")), applied("mul", constant(c), index("k"))),
      constant(d),
    ),
  );
const size = fc.integer({ min: 1, max: 9 }).map(constant);
/** Bits of an index, moved together. */
const everySecondBit = (x: IndexExpr): IndexExpr => {
  let y = applied("bitAnd", x, constant(0x55));
  for (const [by, mask] of [
    [1, 0x33],
    [2, 0x0f],
  ] as const)
    y = applied("bitAnd", applied("bitOr", y, applied("shiftRight", y, constant(by))), constant(mask));
  return y;
};
/** A number made of bits of an index. */
const bitsOf = (name: "q" | "k") =>
  fc.oneof(
    fc.integer({ min: 0, max: 127 }).map((mask) => applied("bitAnd", index(name), constant(mask))),
    fc.integer({ min: 0, max: 2 }).map((n) => everySecondBit(applied("shiftRight", index(name), constant(n)))),
    fc.integer({ min: 0, max: 4 }).map((n) => applied("shiftRight", index(name), constant(n))),
  );
const ofOne = (name: "q" | "k") =>
  fc.oneof(
    bitsOf(name),
    size.map((n) => applied("floor", applied("div", index(name), n))),
    size.map((n) => applied("mod", index(name), n)),
    fc.constant(lookup(1, [index(name)])),
  );
const sensible = fc.oneof(
  fc.tuple(fc.constantFrom(...relations), affine, small).map(([fn, x, y]) => applied(fn, x, y)),
  fc.tuple(fc.constantFrom(...relations), ofOne("q"), ofOne("k")).map(([fn, x, y]) => applied(fn, x, y)),
  fc.tuple(affine, size, small).map(([x, n, r]) => applied("equal", applied("mod", applied("abs", x), n), r)),
  fc
    .tuple(fc.constantFrom(index("q"), index("k")), fc.integer({ min: 0, max: 60 }))
    .map(([x, n]) => applied("less", x, constant(n))),
);

/** Masks like those people write: comparisons of affine forms, tiles and remainders, joined. */
export const plausibleMask = fc.letrec<{ mask: IndexExpr }>((tie) => ({
  mask: fc.oneof(
    { maxDepth: 3 },
    { weight: 2, arbitrary: sensible },
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.constantFrom<IndexFn>("and", "or"), tie("mask"), tie("mask"))
        .map(([fn, x, y]) => applied(fn, x, y)),
    },
    { weight: 1, arbitrary: tie("mask").map((x) => applied("not", x)) },
  ),
})).mask;

const ofBits = fc.oneof(
  fc.tuple(fc.constantFrom(...relations), bitsOf("q"), bitsOf("k")).map(([fn, x, y]) => applied(fn, x, y)),
  fc
    .tuple(bitsOf("q"), bitsOf("k"), fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 }))
    .map(([x, y, least, reach]) =>
      applied("lessEqual", applied("abs", applied("sub", applied("max", x, constant(least)), y)), constant(reach)),
    ),
);

/** Masks of numbers made of bits, as interleaved coordinates are, and now and then of others. */
export const interleavedMask = fc
  .tuple(
    fc.constantFrom<IndexFn>("and", "or"),
    fc.array(fc.oneof({ weight: 6, arbitrary: ofBits }, sensible), { minLength: 1, maxLength: 3 }),
  )
  .map(([join, operands]) => operands.reduce((x, y) => applied(join, x, y)));
