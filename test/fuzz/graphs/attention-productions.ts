import { add, type Dim } from "../../../src/ir/dim.ts";
import type { Value } from "../../../src/ir/graph.ts";
import { parseFormula } from "../../../src/ir/index-expr/text.ts";
import type { Draw } from "../../pipeline/support/draw.ts";
import type { Grower } from "./grower.ts";
import type { Production } from "./productions.ts";

const masks: readonly ((draw: Draw) => string)[] = [
  () => "k <= q",
  (draw) => `Math.abs(q - k) <= ${draw.int(0, 4)}`,
  (draw) => `k <= q && q - k < ${draw.int(1, 5)}`,
  (draw) => `Math.floor(q / ${draw.int(1, 4)}) === Math.floor(k / ${draw.int(1, 4)})`,
  (draw) => `(q + k + b) % ${draw.int(2, 3)} === 0 || k < ${draw.int(0, 2)}`,
  (draw) => `k < ${draw.int(0, 3)} || q === k`,
  () => "q - k < 4 && h !== 1",
  () => "k <= q + (K - Q)",
  (draw) => `k <= q + (K - Q) && q + (K - Q) - k < ${draw.int(1, 5)}`,
];
const scores: readonly ((draw: Draw) => string)[] = [
  (draw) => `s - ${draw.pick(["0.5", "0.25 * h", "1"])} * (q - k)`,
  (draw) => `${draw.int(2, 9)} * Math.tanh(s / ${draw.int(2, 9)})`,
  () => "s + Math.abs(q - k) / 8",
];
const probs: readonly string[] = ["s * s", "s / (q + 1)"];

/** Mask, score and weight formulas, each now and then. */
function formulas(draw: Draw) {
  return {
    ...(draw.chance(0.3) && { mask: parseFormula(draw.pick(masks)(draw)) }),
    ...(draw.chance(0.25) && { score: parseFormula(draw.pick(scores)(draw)) }),
    ...(draw.chance(0.1) && { prob: parseFormula(draw.pick(probs)) }),
  };
}

/** A sum that may be about zero is not divided by. */
const normalisers = ["softmax", "softmax", "softmax", "sigmoid", "none"];

const common = (draw: Draw) => ({
  scale: draw.pick([1, 0.5, 0.125, -0.5]),
  causal: draw.chance(0.35),
  normaliser: draw.pick(normalisers),
  ...formulas(draw),
});

function extras({ draw, of }: Grower, scoreShape: readonly Dim[]): readonly Value[] {
  const shape = () => scoreShape.map((dim) => (draw.chance(0.4) ? 1 : dim));
  return draw.shuffled([
    ...(draw.chance(0.3) ? [of("bool", shape())] : []),
    ...(draw.chance(0.3) ? [of("f32", shape())] : []),
  ]);
}

const attention: Production = (m) => {
  const { draw, b } = m;
  const [kvHeads, group, width] = [draw.pick([1, 2, 3]), draw.pick([1, 1, 2, 3]), draw.pick([1, 2, 4, 8])];
  const queries = draw.pick<Dim>([m.tokens, m.tokens, 3]);
  const keys = draw.pick<Dim>([m.tokens, m.past, add(m.past, queries), 4]);
  const valueWidth = draw.chance(0.7) ? width : draw.pick([1, 3]);
  const q = m.of("f32", [m.batch, kvHeads * group, queries, width]);
  const k = m.of("f32", [m.batch, kvHeads, keys, width]);
  const v = m.of("f32", [m.batch, kvHeads, keys, valueWidth]);
  return b.attention(q, k, v, ...extras(m, [m.batch, kvHeads * group, queries, keys]), common(draw));
};

const attentionWithWeights: Production = (m) => {
  const { draw } = m;
  const [kvHeads, group, width] = [draw.pick([1, 2]), draw.pick([1, 1, 2]), draw.pick([1, 2, 4])];
  const keys = draw.pick<Dim>([m.tokens, m.past]);
  const q = m.of("f32", [m.batch, kvHeads * group, m.tokens, width]);
  const [k, v] = [m.of("f32", [m.batch, kvHeads, keys, width]), m.of("f32", [m.batch, kvHeads, keys, width])];
  const bias = draw.chance(0.4) ? [m.of("f32", [m.batch, 1, draw.pick<Dim>([1, m.tokens]), keys])] : [];
  const attrs = { scale: draw.pick([1, 0.5, -0.5]), causal: draw.chance(0.4) };
  const { results } = m.arena.node("attentionWithWeights", [q, k, v, ...bias], attrs);
  return results[draw.int(0, 1)]!;
};

const packedAttention: Production = (m) => {
  const { draw, b } = m;
  const [kvHeads, group, width] = [draw.pick([1, 2]), draw.pick([1, 2]), draw.pick([1, 2, 4])];
  const heads = kvHeads * group;
  const keys = draw.pick<Dim>([m.tokens, m.past]);
  const q = m.of("f32", [m.batch, m.tokens, heads * width]);
  const k = m.of("f32", [m.batch, keys, kvHeads * width]);
  const v = m.of("f32", [m.batch, keys, kvHeads * width]);
  const more = extras(m, [m.batch, heads, m.tokens, keys]);
  return b.packedAttention(q, k, v, ...more, { heads, kvHeads, ...common(draw) });
};

const linearAttention: Production = (m) => {
  const { draw, b } = m;
  const [heads, width, valueWidth] = [draw.pick([1, 2]), draw.pick([1, 2, 4]), draw.pick([1, 3, 4])];
  const lead = [m.batch, heads, m.tokens] as const;
  const [q, k, v] = [m.of("f32", [...lead, width]), m.of("f32", [...lead, width]), m.of("f32", [...lead, valueWidth])];
  const [decay, delta] = [draw.chance(0.5), draw.chance(0.4)];
  const gates = [
    ...(decay
      ? [
          b.neg(
            b.abs(
              m.of(
                "f32",
                draw.pick<readonly Dim[]>([
                  [...lead, 1],
                  [1, heads, 1, 1],
                  [...lead, width],
                ]),
              ),
            ),
          ),
        ]
      : []),
    ...(delta ? [b.sigmoid(m.of("f32", [...lead, 1]))] : []),
  ];
  return b.linearAttention(q, k, v, ...gates, { scale: draw.pick([1, 0.5]), decay, delta });
};

const rope: Production = (m) => {
  const x = m.some(({ dtype, shape }) => {
    const last = shape.at(-1);
    return dtype === "f32" && shape.length >= 2 && typeof last === "number" && last > 0 && last % 2 === 0;
  });
  if (!x) return undefined;
  const { shape } = x.type;
  const half = [shape.at(-2)!, Number(shape.at(-1)) / 2];
  return m.b.rope(x, m.of("f32", half), m.of("f32", half), { interleaved: m.draw.chance(0.5) });
};

export const attentions = { attention, attentionWithWeights, packedAttention, linearAttention, rope };
