import type { Build } from "../../ir/arena.ts";
import type { Value } from "../../ir/graph.ts";
import { sameShape, sameType } from "../../ir/types.ts";
import type { FuseContext, Fusion, Matcher } from "../rewrite/fuse.ts";
import type { Miss } from "../rewrite/match.ts";
import { fusion, type Match, type Rule } from "../rewrite/rule.ts";
import { uniformOnes } from "../rewrite/scalar.ts";
import { a, any, constant, lastAxis, type Term, t, variable, x } from "../rewrite/term.ts";

const gain = variable("gain");
const bias = variable("bias");
const eps = constant("eps");

const last = { axes: lastAxis, keepDims: true };
const square = (z: Term): Term => any(t.mul(z, z), t.pow(z, 2));
const root = (z: Term): Term => any(t.sqrt(z), t.pow(z, 0.5));
/** y / √z. */
const overRoot = (y: Term, z: Term): Term =>
  any(t.div(y, root(z)), t.mul(y, t.div(1, root(z))), t.mul(y, t.pow(z, -0.5)));

const centred = t.sub(x, t.reduceMean(x, last));
const stabilised = (z: Term): Term => t.add(t.reduceMean(square(z), last), eps);

const gainShape = "the gain is not one number for each element of the last axis";
const biasShape = "the bias is not one number for each element of the last axis";
const openWidth = "the size of the last axis is not fixed";

/**
 * A gain or bias as one axis; axes of size 1 in front of it are dropped. Undefined for every other shape: a scalar,
 * another axis, or one that widens x would mean something else.
 */
function perElement(b: Build, value: Value, of: Value): Value | undefined {
  const width = of.type.shape.at(-1)!;
  const { shape, dtype } = value.type;
  const fits = shape.length > 0 && shape.length <= of.type.shape.length && shape.at(-1) === width;
  if (!fits || dtype !== of.type.dtype || shape.slice(0, -1).some((dim) => dim !== 1)) return undefined;
  return shape.length === 1 ? value : b.reshape(value, { shape: [width] });
}

/** A norm without a gain is one with a gain of ones, which the next rule replaces. */
const bare = (op: "layerNorm" | "rmsNorm") => (m: Match, b: Build) => {
  const { dtype, shape } = m.value("x").type;
  const width = shape.at(-1);
  if (typeof width !== "number") return openWidth;
  return b[op](m.value("x"), b.constant({ value: uniformOnes(dtype, width) }), { epsilon: m.number("eps") });
};

/** Norms spelled out, one step after the other: the norm itself, its gain, its bias. */
const spelled: readonly Rule[] = [
  fusion({
    name: "layer-norm",
    formula: "(x - mean x) / √(mean (x - mean x)² + ε) = layerNorm(x, 1)",
    left: overRoot(centred, stabilised(centred)),
    right: bare("layerNorm"),
    refuses: [openWidth],
  }),
  fusion({
    name: "rms-norm",
    formula: "x / √(mean x² + ε) = rmsNorm(x, 1)",
    left: overRoot(x, stabilised(x)),
    right: bare("rmsNorm"),
    refuses: [openWidth],
  }),
  ...(["layerNorm", "rmsNorm"] as const).map((op) =>
    fusion({
      name: op === "layerNorm" ? "layer-norm-gain" : "rms-norm-gain",
      formula: `${op}(x, 1) · gain = ${op}(x, gain)`,
      left: t.mul(t[op](x, 1, { epsilon: a("epsilon") }), gain),
      right: (m, b) => {
        const fitting = perElement(b, m.value("gain"), m.value("x"));
        return fitting ? b[op](m.value("x"), fitting, { epsilon: m.attr("epsilon") }) : gainShape;
      },
      refuses: [gainShape],
    }),
  ),
  fusion({
    name: "layer-norm-bias",
    formula: "layerNorm(x, gain) + bias = layerNorm(x, gain, bias)",
    left: t.add(t.layerNorm(x, gain, { epsilon: a("epsilon") }), bias),
    right: (m, b) => {
      const fitting = perElement(b, m.value("bias"), m.value("x"));
      if (!fitting) return biasShape;
      return b.layerNorm(m.value("x"), m.value("gain"), fitting, { epsilon: m.attr("epsilon") });
    },
    refuses: [biasShape],
  }),
];

const sumWidens = "one side of the sum is broadcast";

const refuse = (at: Value, reason: string): Miss => ({ depth: 3, reason, at });

/** Add & Norm. The sum is needed again by the next Add & Norm, so it is a result too, and may be a graph output. */
const skipNorm = (norm: "layerNorm" | "rmsNorm", op: "skipLayerNorm" | "skipRmsNorm"): Matcher => ({
  name: norm === "layerNorm" ? "skip-layer-norm" : "skip-rms-norm",
  formula:
    norm === "layerNorm"
      ? "layerNorm(x + y) = skipLayerNorm(x, y), sum x + y"
      : "rmsNorm(x + y) = skipRmsNorm(x, y), sum x + y",
  roots: [norm],
  refuses: [sumWidens],
  match(node, cx) {
    const [sum, gain, bias] = node.operands as [Value, Value, Value?];
    if (sum.node.op !== "add" || !cx.target.kernels.has(op)) return undefined;
    const [x, y] = sum.node.operands as [Value, Value];
    const at = node.results[0]!;
    if (!sameType(x.type, sum.type) || !sameType(y.type, sum.type)) return refuse(at, sumWidens);
    const zeros = () => cx.arena.build.broadcast(cx.arena.build.scalar(0, gain.type.dtype), { shape: gain.type.shape });
    const gains = norm === "layerNorm" ? [gain, bias ?? zeros()] : [gain];
    const biased = norm === "layerNorm" ? inputBias(sum, cx) : undefined;
    const operands = biased ? [biased.x, biased.skip, ...gains, biased.bias] : [x, y, ...gains];
    const made = cx.arena.node(op, operands, { epsilon: node.attrs.get("epsilon") });
    cx.arena.inherit(sum, made.results[1]!);
    return {
      values: [made.results[0]!],
      also: [[sum, made.results[1]!]],
      covered: [node, sum.node, ...(biased ? [biased.node] : [])],
    } satisfies Fusion;
  },
});

/** A bias added to one side of the sum and nowhere else: the kernel adds it on the way. */
function inputBias(sum: Value, cx: FuseContext) {
  for (const [i, side] of sum.node.operands.entries()) {
    if (side.node.op !== "add" || cx.exclusive([sum.node, side.node])) continue;
    for (const [j, bias] of side.node.operands.entries()) {
      const x = side.node.operands[1 - j]!;
      if (
        bias.type.shape.length === 1 &&
        sameShape(bias.type.shape, sum.type.shape.slice(-1)) &&
        sameType(x.type, sum.type)
      )
        return { x, skip: sum.node.operands[1 - i]!, bias, node: side.node };
    }
  }
  return undefined;
}

/** Stages: each works on what the one before has made. */
export const normStages: readonly (readonly (Rule | Matcher)[])[] = [
  spelled,
  [skipNorm("layerNorm", "skipLayerNorm"), skipNorm("rmsNorm", "skipRmsNorm")],
];
