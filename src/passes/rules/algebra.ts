import { opDef } from "../../ir/arena.ts";
import { product } from "../../ir/dim.ts";
import { type DType, endsOf, isFloat } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import type { RefTensor } from "../../ir/op-def.ts";
import { type OpName, ops } from "../../ir/ops/index.ts";
import { elementCount, fromNumbers, toFloat64 } from "../../ir/tensor.ts";
import { sameShape, sameType } from "../../ir/types.ts";
import { isFoldable } from "../rewrite/foldable.ts";
import { type Rule, rule } from "../rewrite/rule.ts";
import { hasReciprocal, isPowerOfTwo, leastNormal, rounded, scalarOf, tensorOf } from "../rewrite/scalar.ts";
import { a, any, c, constant, d, loose, t, x, y } from "../rewrite/term.ts";
import { indices } from "./indices.ts";
import { logic } from "./logic.ts";

const names = Object.keys(ops) as readonly OpName[];
const binaryOps = names.filter((op) => {
  const { traits, operands } = opDef(op);
  return traits.includes("elementwise") && !traits.includes("composite") && operands.length === 2;
});
const withIdentity = binaryOps.filter((op) => opDef(op).identity !== undefined);
const commutative = binaryOps.filter((op) => opDef(op).traits.includes("commutative"));

/** `x op identity = x`, one rule for each op that declares an identity. */
const identities: readonly Rule[] = withIdentity.map((op) =>
  rule({
    name: `${op}-identity`,
    left: t[op](x, opDef(op).identity!),
    right: x,
  }),
);

/** Constants go right, so that every other rule is written one way. */
const constantsRight: readonly Rule[] = commutative.map((op) =>
  rule({
    name: `${op}-constant-right`,
    formula: `${op}(c, x) = ${op}(x, c)`,
    left: loose(op),
    right: (m, b) => {
      const [left, right] = m.root.node.operands;
      if (scalarOf(left!) === undefined || scalarOf(right!) !== undefined) return undefined;
      return b[op as "add"](right!, left!);
    },
  }),
);

const foldLimit = 4096;

/** Whether integers are within their type, and such that float64 tells them apart: others wrap, or are rounded. */
function isTold({ data }: RefTensor, dtype: DType): boolean {
  const ends = endsOf(dtype);
  return !ends || data.every((x) => x >= ends[0] && x <= ends[1] && Number.isSafeInteger(x));
}

/** An op on small constants is a constant. */
const foldConstants: readonly Rule[] = names
  .filter((op) => {
    const def = opDef(op);
    const folds =
      def.traits.includes("elementwise") || def.traits.includes("movement") || def.traits.includes("reduction");
    return folds && def.evaluate && op !== "split" && op !== "refine";
  })
  .map((op) =>
    rule({
      name: `${op}-of-constants`,
      formula: `${op} of constants of at most ${foldLimit} elements is a constant`,
      left: loose(op),
      right: (m, b) => {
        if (!m.root.node.operands.every(({ node }) => node.op === "constant")) return undefined;
        const operands = m.root.node.operands.map(tensorOf);
        const { dtype, shape } = m.root.type;
        if (shape.some((dim) => typeof dim !== "number")) return undefined;
        const dims = shape as readonly number[];
        if (elementCount(dims) > foldLimit || operands.some((tensor) => tensor!.data.length > foldLimit))
          return undefined;
        const values = operands.map((tensor): RefTensor => ({ dims: tensor!.dims, data: toFloat64(tensor!) }));
        if (operands.some((tensor, i) => !isTold(values[i]!, tensor!.dtype))) return undefined;
        const made = opDef(op).evaluate!(values, {
          attrs: Object.fromEntries(m.root.node.attrs) as never,
          types: m.root.node.operands.map(({ type }) => type),
          results: [{ dtype, dims }],
          size: (dim) => Number(dim),
          call: () => [],
        }) as RefTensor;
        return isTold(made, dtype) ? b.constant({ value: fromNumbers(dtype, dims, made.data) }) : undefined;
      },
    }),
  );

const one = constant("one");

/** Whether joining two constants rounds as before: in f64, which indices are computed in, nothing else will do. */
const isExact: Readonly<Record<"add" | "mul" | "max" | "min", (p: number, q: number) => boolean>> = {
  add: () => false,
  mul: (p, q) => isPowerOfTwo(p) || isPowerOfTwo(q),
  max: () => true,
  min: () => true,
};

const overflow = "the constants overflow together";
const underflow = "the constants underflow together";
const cancelled = "a large constant is taken off again, which rounds";

/** Chains of one op with constants become one step: two roundings become one. */
const chains: readonly Rule[] = (
  [
    ["add", (p: number, q: number) => p + q],
    ["mul", (p: number, q: number) => p * q],
    ["max", Math.max],
    ["min", Math.min],
  ] as const
).map(([op, f]) =>
  rule({
    name: `${op}-${op}-constants`,
    formula: `${op}(${op}(x, c), d) = ${op}(x, ${op}(c, d))`,
    left: t[op](t[op](x, c), d),
    right: (m, b) => {
      const { dtype } = m.root.type;
      const number = f(m.number("c"), m.number("d"));
      if (dtype === "f64" && !isExact[op](m.number("c"), m.number("d"))) return undefined;
      const [made, ...given] = [number, m.number("c"), m.number("d")].map((each) => rounded(each, dtype)) as number[];
      if (!Number.isFinite(made) && given.every(Number.isFinite)) return overflow;
      if (op === "mul" && !given.includes(0) && !(Math.abs(made!) >= leastNormal[dtype]!)) return underflow;
      if (op === "add" && given.some((each) => Math.abs(each) > 2 ** 10 * Math.abs(made!))) return cancelled;
      return b[op](m.value("x"), b.scalar(number, dtype));
    },
    guard: (m) => isFloat(m.root.type.dtype) || "integers may wrap",
    refuses: ["integers may wrap", ...({ add: [overflow, cancelled], mul: [overflow, underflow] }[op as string] ?? [])],
    tolerance: op === "add" || op === "mul" ? "reordered" : "exact",
  }),
);

const signs: readonly Rule[] = [
  rule({ name: "neg-neg", left: t.neg(t.neg(x)), right: x }),
  rule({
    name: "abs-neg",
    formula: "abs(neg(x)) = abs(x) where x has a sign",
    left: t.abs(t.neg(x)),
    right: (m, b) => (m.root.type.dtype === "u8" ? undefined : b.abs(m.value("x"))),
  }),
  rule({ name: "add-neg", left: t.add(x, t.neg(y)), right: t.sub(x, y) }),
  rule({ name: "sub-neg", left: t.sub(x, t.neg(y)), right: t.add(x, y) }),
  rule({
    name: "sub-constant",
    formula: "x - c = x + (-c)",
    left: t.sub(x, c),
    right: (m, b) => {
      const { dtype } = m.root.type;
      return isFloat(dtype) ? b.add(m.value("x"), b.scalar(-m.number("c"), dtype)) : undefined;
    },
  }),
];

/** Whether fewer elements are negated where a factor is in place of a product, and none of them when the model runs. */
const isLess = (factor: Value, { type }: Value): boolean =>
  scalarOf(factor) === undefined && isFoldable(factor) && !sameShape(factor.type.shape, type.shape);

/** -(x · f) = x · (-f), where f is a weight or a constant. */
const signsOfFactors: readonly Rule[] = (["mul", "div"] as const).map((op) =>
  rule({
    name: `neg-of-${op}`,
    formula: `neg(${op}(x, f)) = ${op}(x, neg(f)) where f is known beforehand and smaller`,
    left: t.neg(x),
    right: (m, b) => {
      const { node } = m.value("x");
      const [first, second] = node.operands;
      if (node.op !== op || !isFloat(m.root.type.dtype)) return undefined;
      if (isLess(second!, m.root)) return b[op](first!, b.neg(second!));
      return isLess(first!, m.root) ? b[op](b.neg(first!), second!) : undefined;
    },
  }),
);

const powers: readonly Rule[] = [
  rule({
    name: "div-power-of-two",
    formula: "x / c = x · (1/c) where c is a power of two",
    left: t.div(x, c),
    right: (m, b) => {
      const [number, { dtype }] = [m.number("c"), m.root.type];
      const isExact = isPowerOfTwo(number) && hasReciprocal(number, dtype);
      return isExact ? b.mul(m.value("x"), b.scalar(1 / number, dtype)) : undefined;
    },
  }),
  rule({
    name: "div-constant",
    formula: "x / c = x · (1/c)",
    left: t.div(x, c),
    right: (m, b) => b.mul(m.value("x"), b.scalar(1 / m.number("c"), m.root.type.dtype)),
    guard: (m) => hasReciprocal(m.number("c"), m.root.type.dtype) || "the constant has no reciprocal of its type",
    refuses: ["the constant has no reciprocal of its type"],
    tolerance: "reordered",
  }),
  rule({ name: "pow-two", left: t.pow(x, 2), right: t.mul(x, x), tolerance: "reordered" }),
  rule({
    name: "pow-half",
    left: t.pow(x, 0.5),
    right: t.sqrt(x),
    tolerance: "reordered",
  }),
  rule({
    name: "pow-minus-half",
    left: t.pow(x, -0.5),
    right: t.div(1, t.sqrt(x)),
    tolerance: "reordered",
  }),
  rule({
    name: "mul-reciprocal",
    left: t.mul(x, t.div(one, y)),
    formula: "x · (1 / y) = x / y",
    right: (m, b) =>
      isFloat(m.root.type.dtype) && m.number("one") === 1 ? b.div(m.value("x"), m.value("y")) : undefined,
    tolerance: "reordered",
  }),
];

/** Elementwise ops stretch their operands themselves. */
const broadcasts: readonly Rule[] = [...binaryOps, "select" as const].map((op) =>
  rule({
    name: `${op}-broadcast`,
    formula: `${op}(broadcast(x), y) = ${op}(x, y) where y alone gives the shape`,
    left: loose(op),
    right: (m, b) => {
      const { operands } = m.root.node;
      for (const [i, operand] of operands.entries()) {
        if (operand.node.op !== "broadcast") continue;
        const bare = operands.map((other, j) => (i === j ? operand.node.operands[0]! : other));
        const [first, second, third] = bare as [typeof operand, typeof operand, typeof operand];
        const made = op === "select" ? b.select(first, second, third) : b[op as "add"](first, second);
        if (sameType(made.type, m.root.type)) return made;
      }
      return undefined;
    },
  }),
);

/** What takes one number, or repeated elements and numbers alone, is computed before anything is repeated. */
const beforeBroadcasts: readonly Rule[] = ["cast" as const, "not" as const, ...binaryOps, "select" as const].map((op) =>
  rule({
    name: `${op}-before-broadcast`,
    formula: `${op}(broadcast(x), y) = broadcast(${op}(x, y)) where x or all of y are constant numbers`,
    left: loose(op),
    right: (m, b) => {
      const { operands } = m.root.node;
      const repeated = operands.filter(({ node }) => node.op === "broadcast");
      const rest = operands.filter(({ node }) => node.op !== "broadcast");
      const isNumber = ({ type, node }: Value) => type.shape.length === 0 && node.op === "constant";
      if (repeated.length !== 1 || !(isNumber(repeated[0]!.node.operands[0]!) || rest.every(isNumber)))
        return undefined;
      const bare = operands.map((operand) => (operand === repeated[0] ? operand.node.operands[0]! : operand));
      const [first, second, third] = bare as [Value, Value, Value];
      const made =
        op === "cast"
          ? b.cast(first, { to: m.root.type.dtype })
          : op === "not"
            ? b.not(first)
            : op === "select"
              ? b.select(first, second, third)
              : b[op as "add"](first, second);
      return b.broadcast(made, { shape: m.root.type.shape });
    },
  }),
);

const mean: readonly Rule[] = [
  rule({
    name: "mean",
    formula: "reduceSum(x) · (1/n) = reduceMean(x), n the number summed",
    left: any(t.mul(t.reduceSum(x, { axes: a("axes"), keepDims: a("keep") }), c)),
    right: (m, b) => {
      const { shape, dtype } = m.value("x").type;
      const axes = m.attr<readonly number[]>("axes");
      const count = product(axes.map((axis) => shape.at(axis)!));
      if (!isFloat(dtype) || typeof count !== "number" || m.number("c") !== rounded(1 / count, dtype)) return undefined;
      return b.reduceMean(m.value("x"), { axes, keepDims: m.attr("keep") });
    },
    tolerance: "reordered",
  }),
];

/** Identities of arithmetic and logic; those for families of ops are driven by what the ops declare. */
export const algebra: readonly Rule[] = [
  ...foldConstants,
  ...constantsRight,
  ...identities,
  ...chains,
  ...signs,
  ...signsOfFactors,
  ...powers,
  ...logic,
  ...indices,
  ...broadcasts,
  ...beforeBroadcasts,
  ...mean,
];
