import type { Build } from "../../ir/arena.ts";
import { lowest } from "../../ir/attend.ts";
import { type DType, isFloat } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import { type HostTensor, toFloat64 } from "../../ir/tensor.ts";
import { type Match, type Rule, rule } from "../rewrite/rule.ts";
import { scalarOf } from "../rewrite/scalar.ts";
import { spread } from "../rewrite/spread.ts";
import { a, c, d, t, x, y, z } from "../rewrite/term.ts";

/** Operations that answer nothing beyond 1 and -1, or NaN. */
const bounded = new Set(["softmax", "sigmoid", "tanh", "erf", "sin", "cos", "sign"]);

/** Whether no element can be infinite, whatever a tensor is computed from. */
function isNeverInfinite({ node, type }: Value): boolean {
  const [first, second, third] = node.operands;
  if (node.op === "select") return isNeverInfinite(second!) && isNeverInfinite(third!);
  if (node.op === "cast") return widens(first!.type.dtype, type.dtype) && isNeverInfinite(first!);
  if (node.op === "reshape" || node.op === "transpose") return isNeverInfinite(first!);
  if (node.op === "constant")
    return toFloat64(node.attrs.get("value") as HostTensor).every((x) => Math.abs(x) < Infinity);
  return bounded.has(node.op);
}

/** The truth x, or where `isIt` is not so, not x, as large as the root. */
const truthOrNot = (m: Match, b: Build, isIt: boolean): Value =>
  b.broadcast(isIt ? m.value("x") : b.not(m.value("x")), { shape: m.root.type.shape });

/** Identities of truths, choices and casts. */
export const logic: readonly Rule[] = [
  rule({
    name: "never-infinite",
    formula: "(x = c) = false where c is infinite and x is within -1 and 1, as probabilities are",
    left: t.equal(x, c),
    right: (m, b) => {
      const infinite = Math.abs(m.number("c")) === Number.POSITIVE_INFINITY;
      return infinite && isNeverInfinite(m.value("x")) ? spread(b, b.scalar(0, "bool"), m.root) : undefined;
    },
  }),
  ...(["above", "below"] as const).map((side) =>
    rule({
      name: `infinite-${side}`,
      formula: `(${side === "above" ? "x > c" : "x < c"} and (x = ∞ or x = -∞)) = (x = ${side === "above" ? "" : "-"}∞) where c is a number`,
      left: t.and(
        side === "above" ? t.less(c, x) : t.less(x, c),
        t.or(t.equal(x, Number.POSITIVE_INFINITY), t.equal(x, Number.NEGATIVE_INFINITY)),
      ),
      right: (m, b) => {
        const { dtype } = m.value("x").type;
        if (!isFloat(dtype) || !Number.isFinite(m.number("c"))) return undefined;
        const end = side === "above" ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
        return b.broadcast(b.equal(m.value("x"), b.scalar(end, dtype)), { shape: m.root.type.shape });
      },
    }),
  ),
  rule({
    name: "nan-to-number",
    formula:
      "select(x = ∞, most, select(x = -∞, -most, select(x = x, x, y))) = select(x = x, max(min(x, most), -most), y)",
    left: t.select(
      t.equal(x, Number.POSITIVE_INFINITY),
      c,
      t.select(t.equal(x, Number.NEGATIVE_INFINITY), d, t.select(t.equal(x, x), x, y)),
    ),
    right: (m, b) => {
      const { dtype } = m.value("x").type;
      const least = lowest[dtype];
      if (least === undefined || m.number("c") !== -least || m.number("d") !== least) return undefined;
      const held = b.max(b.min(m.value("x"), b.scalar(-least, dtype)), b.scalar(least, dtype));
      const number = b.select(b.equal(m.value("x"), m.value("x")), held, m.value("y"));
      return b.broadcast(number, { shape: m.root.type.shape });
    },
  }),
  rule({ name: "not-not", left: t.not(t.not(x)), right: x }),
  rule({ name: "and-true", left: t.and(x, 1), right: x }),
  rule({
    name: "and-false",
    left: t.and(x, c),
    formula: "and(x, false) = false",
    right: (m, b) => (m.number("c") === 0 ? spread(b, m.value("c"), m.root) : undefined),
  }),
  rule({ name: "or-false", left: t.or(x, 0), right: x }),
  rule({
    name: "or-true",
    left: t.or(x, c),
    formula: "or(x, true) = true",
    right: (m, b) => (m.number("c") === 1 ? spread(b, m.value("c"), m.root) : undefined),
  }),
  ...(["and", "or", "max", "min"] as const).map((op) => rule({ name: `${op}-same`, left: t[op](x, x), right: x })),
  rule({ name: "select-not", left: t.select(t.not(x), y, z), right: t.select(x, z, y) }),
  rule({ name: "select-same", left: t.select(x, y, y), right: y }),
  rule({
    name: "select-constant",
    formula: "select(true, x, y) = x, select(false, x, y) = y",
    left: t.select(c, x, y),
    right: (m, b) => spread(b, m.value(m.number("c") === 0 ? "y" : "x"), m.root),
  }),
  rule({
    name: "select-of-truths",
    formula: "select(x, true, false) = x; not x the other way round",
    left: t.select(x, c, d),
    right: (m, b) => {
      if (m.root.type.dtype !== "bool" || m.number("c") === m.number("d")) return undefined;
      return truthOrNot(m, b, m.number("c") === 1);
    },
  }),
  rule({
    name: "equal-of-select",
    formula: "(select(x, c, d) = y) = x where c is the number y and d another; not x the other way round",
    left: t.equal(t.select(x, c, d), y),
    right: (m, b) => {
      const [whereTrue, whereFalse, other] = [m.number("c"), m.number("d"), scalarOf(m.value("y"))];
      if (other === undefined || (whereTrue === other) === (whereFalse === other)) return undefined;
      return truthOrNot(m, b, whereTrue === other);
    },
  }),
  rule({
    name: "truth-of-select",
    formula: "bool(select(x, c, d)) = x where c is a number other than 0 and d is 0; not x the other way round",
    left: t.cast(t.select(x, c, d), { to: a("p") }),
    right: (m, b) => {
      const [whereTrue, whereFalse] = [m.number("c"), m.number("d")];
      if (m.attr("p") !== "bool" || Number.isNaN(whereTrue + whereFalse)) return undefined;
      if ((whereTrue === 0) === (whereFalse === 0)) return undefined;
      return truthOrNot(m, b, whereFalse === 0);
    },
  }),
  rule({
    name: "cast-of-select",
    formula: "cast(select(x, c, d)) = select(x, cast(c), cast(d)) where c and d are 0 and 1",
    left: t.cast(t.select(x, c, d), { to: a("p") }),
    right: (m, b) => {
      const numbers = [m.number("c"), m.number("d")];
      if (m.attr("p") === "bool" || !numbers.every((number) => number === 0 || number === 1)) return undefined;
      const [whereTrue, whereFalse] = numbers.map((number) => b.scalar(number, m.attr<DType>("p"))) as [Value, Value];
      return b.broadcast(b.select(m.value("x"), whereTrue, whereFalse), { shape: m.root.type.shape });
    },
  }),
  rule({
    name: "equal-of-truth",
    formula: "(cast(x) = 0) = not x, (cast(x) = 1) = x where x is a truth",
    left: t.equal(t.cast(x, { to: a("p") }), y),
    right: (m, b) => {
      const other = scalarOf(m.value("y"));
      if (m.value("x").type.dtype !== "bool" || (other !== 0 && other !== 1)) return undefined;
      return truthOrNot(m, b, other === 1);
    },
  }),
  rule({
    name: "cast-same",
    formula: "cast(x, to = its own type) = x",
    left: t.cast(x, { to: a("p") }),
    right: (m) => (m.value("x").type.dtype === m.attr("p") ? m.value("x") : undefined),
  }),
  rule({
    name: "cast-cast",
    formula: "cast(cast(x)) = cast(x) where the type between holds every value of x",
    left: t.cast(t.cast(x, { to: a("p") }), { to: a("q") }),
    right: (m, b) =>
      widens(m.value("x").type.dtype, m.attr("p")) ? b.cast(m.value("x"), { to: m.attr("q") }) : undefined,
  }),
];

const wider: Readonly<Record<string, readonly string[]>> = {
  f32: ["f64"],
  f16: ["f32", "f64"],
  bf16: ["f32", "f64"],
  i32: ["i64", "f64"],
  i8: ["i32", "i64", "f16", "f32", "f64"],
  u8: ["i32", "i64", "f16", "f32", "f64"],
  bool: ["i8", "u8", "i32", "i64", "f16", "bf16", "f32", "f64"],
};
const widens = (from: string, to: string): boolean => wider[from]?.includes(to) ?? false;
