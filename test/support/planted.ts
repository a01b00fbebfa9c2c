import { graphOf } from "../../src/ir/arena.ts";
import type { Pass } from "../../src/passes/pass.ts";
import { normalise } from "../../src/passes/rewrite/normalise.ts";
import { type Rule, rule } from "../../src/passes/rewrite/rule.ts";
import { lastAxis, loose, t, x, y } from "../../src/passes/rewrite/term.ts";

/** A pass with a bug: every output comes out a thousandth too large. */
export const slightlyWrong: Pass = {
  name: "slightly-wrong",
  doc: "Multiplies every output by 1.001.",
  run(graph, { arena, report }) {
    const { build } = arena;
    report.fired("slightly-wrong");
    const outputs = graph.outputs.map(
      ({ name, value }) => [name, build.mul(value, build.scalar(1.001, value.type.dtype))] as const,
    );
    return graphOf(graph.name, graph.inputs, outputs);
  },
};

/** A pass that does nothing wrong: outputs are negated twice. */
export const harmless: Pass = {
  name: "harmless",
  doc: "Negates every output twice.",
  run(graph, { arena: { build } }) {
    return graphOf(
      graph.name,
      graph.inputs,
      graph.outputs.map(({ name, value }) => [name, build.neg(build.neg(value))] as const),
    );
  },
};

/** A pass that breaks off. */
export const breaking: Pass = {
  name: "breaking",
  doc: "Throws.",
  run() {
    throw new Error("out of ideas");
  },
};

const passOf = (one: Rule): Pass => ({
  name: `planted-${one.name}`,
  doc: one.formula,
  run: (graph, cx) => normalise(graph, [one], cx),
});

/** Rules with a bug, each as a pass. */
export const planted = {
  /** Right for numbers that are not negative: the guard is missing. */
  absOfAnything: passOf(rule({ name: "abs-of-anything", left: t.abs(x), right: x })),
  /** Right where no query's keys are all hidden, and no key is. */
  maskForgotten: passOf(
    rule({
      name: "mask-forgotten",
      formula: "attention(q, k, v, mask) = attention(q, k, v)",
      left: loose("attention"),
      right: (m, b) => {
        const [q, k, v, mask] = m.root.node.operands;
        return mask && b.attention(q!, k!, v!, { scale: m.root.node.attrs.get("scale") as number });
      },
    }),
  ),
  /** Right within rounding for rows of usual size. */
  epsilonForgotten: passOf(
    rule({
      name: "epsilon-forgotten",
      formula: "rmsNorm(x, y, ε) = rmsNorm(x, y, 0)",
      left: t.rmsNorm(x, y),
      right: (m, b) =>
        m.root.node.attrs.get("epsilon") === 0 ? undefined : b.rmsNorm(m.value("x"), m.value("y"), { epsilon: 0 }),
    }),
  ),
  /** Right where every row sees something. */
  nanForgotten: passOf(
    rule({
      name: "nan-forgotten",
      formula: "softmax(x) = softmax(max(x, -10⁹))",
      left: t.softmax(x),
      right: (m, b) =>
        m.value("x").node.op === "max"
          ? undefined
          : b.softmax(b.max(m.value("x"), b.scalar(-1e9, m.root.type.dtype)), { axis: -1 }),
    }),
  ),
  /** Right in float64; in float32 minus infinity where a mask hides everything. */
  hiddenTwice: passOf(
    rule({
      name: "hidden-twice",
      formula: "select(x, y, -3·10³⁸) = select(x, y, -3·10³⁸) + select(x, 0, -3·10³⁸)",
      left: t.softmax(t.select(x, y, -3e38)),
      right: (m, b) => {
        const fill = b.scalar(-3e38, "f32");
        const once = b.select(m.value("x"), m.value("y"), fill);
        return b.softmax(b.add(once, b.select(m.value("x"), b.scalar(0, "f32"), fill)), { axis: -1 });
      },
    }),
  ),
  /** Right where there is anything to take the greatest of. */
  nothingForgotten: passOf(
    rule({
      name: "nothing-forgotten",
      formula: "reduceMax(x) = max(reduceMax(x), -10³⁰)",
      left: t.neg(t.reduceMax(x, { axes: lastAxis, keepDims: true })),
      right: (m, b) => {
        const most = b.reduceMax(m.value("x"), { axes: [-1], keepDims: true });
        return b.neg(b.max(most, b.scalar(-1e30, m.root.type.dtype)));
      },
    }),
  ),
  /** Makes an op that takes no integers. */
  reluOfAnything: passOf(rule({ name: "relu-of-anything", left: t.max(x, 0), right: t.relu(x) })),
  /** Right for masks of zeros and ones, and for lengths up to 127. */
  bytesForgotten: passOf(
    rule({
      name: "bytes-forgotten",
      formula: "i64(i8(x)) = x",
      left: t.cast(t.cast(x, { to: "i8" }), { to: "i64" }),
      right: (m) => (m.value("x").type.dtype === "i64" ? m.value("x") : undefined),
    }),
  ),
  /** Right for the first hundred positions. */
  farForgotten: passOf(rule({ name: "far-forgotten", left: t.min(x, 100), right: x })),
  /** Right as long as biases are zero, as training begins with. */
  biasForgotten: passOf(
    rule({
      name: "bias-forgotten",
      formula: "x + parameter = x",
      left: t.add(x, y),
      right: (m) => (m.value("y").node.op === "param" ? m.value("x") : undefined),
    }),
  ),
} as const;
