import {
  type AttentionShapes,
  attendInSteps,
  attentionShapes,
  everything,
  type ScoreProgram,
  tablesOf,
  weighInSteps,
} from "../attend.ts";
import { type Attrs, attr, optional } from "../attrs.ts";
import { add, type Dim, divideExact, mul, product, show } from "../dim.ts";
import { isFloat } from "../dtype.ts";
import type { Node, Value } from "../graph.ts";
import { type IndexExpr, partsInOrder, partsOf, score as theScore } from "../index-expr/types.ts";
import { defineOp, type Emit, type InferContext } from "../op-def.ts";
import { broadcastShapes, sameShape, showShape, showType, type TensorType } from "../types.ts";

const attentionAttrs = {
  scale: attr("float", "factor of the scores before mask and normaliser"),
  causal: optional("bool", "query i sees keys 0 … i only, both counted from the start", false),
  normaliser: optional(
    "string",
    '"softmax" over the keys, "sigmoid" of each score, the scores over their "sum", or "none"',
    "softmax",
  ),
  mask: optional("formula", "which keys a query sees, besides `causal` and the mask operand", everything),
  score: optional("formula", "the score in place of `s` = scale · q kᵀ + bias", theScore()),
  prob: optional("formula", "the weight in place of `s`, the normaliser's answer; masked keys keep 0", theScore()),
  tables: optional("int", "how many of the last operands are tables that the formulas read", 0),
};
const packedAttrs = {
  heads: attr("int", "number of query heads"),
  kvHeads: attr("int", "number of key and value heads"),
  ...attentionAttrs,
};

const constraints = {
  C1: "q, k and v are rank 4, [batch, heads, length, width], of one floating-point type",
  C2: "batches are equal, k and v have equal heads and lengths, q and k equal widths",
  C3: "the number of query heads is a multiple of the number of key heads",
  C4: "after v come at most one mask (bool) and one bias (element type of q), rank 4, which stretch to [batch, heads, queries, keys]",
  C5: 'normaliser is "softmax", "sigmoid", "sum" or "none"',
  C6: "the last operands are the tables, and formulas read each with as many indices as it has axes; a mask does not read the score",
};

const normalisers: readonly string[] = ["softmax", "sigmoid", "sum", "none"];

/** Attributes of an attention without formulas. */
const plain = { normaliser: "softmax", mask: everything, score: theScore(), prob: theScore(), tables: 0 } as const;

type Infer = InferContext<typeof attentionAttrs>;

function inferRank4(cx: Infer, q: TensorType, k: TensorType, v: TensorType): TensorType {
  const { attrs, require } = cx;
  const uniform = [q, k, v].every(({ dtype, shape }) => dtype === q.dtype && shape.length === 4);
  require(uniform && isFloat(q.dtype), "C1", `q, k, v are ${[q, k, v].map(showType).join(", ")}`);
  const s = attentionShapes(q, k, v);
  const [kb, , , kw] = k.shape;
  const [vb, vh, vs] = v.shape;
  const fits = kb === s.batch && vb === s.batch && vh === s.kvHeads && vs === s.keys && kw === s.width;
  require(fits, "C2", `q ${showShape(q.shape)}, k ${showShape(k.shape)} and v ${showShape(v.shape)} do not fit`);
  require(s.group !== 0, "C3", `${show(s.heads)} query heads over ${show(s.kvHeads)} key heads`);
  require(normalisers.includes(attrs.normaliser), "C5", `"${attrs.normaliser}" is no normaliser`);
  const tables = attrs.tables >= 0 && attrs.tables <= cx.types.length - 3 ? attrs.tables : undefined;
  const extras = cx.types.slice(3, cx.types.length - cx.need(tables, "C6", `${attrs.tables} tables`));
  requireTables(cx, cx.types.slice(3 + extras.length));
  const scores = [s.batch, s.heads, s.queries, s.keys];
  const kinds = extras.map(({ dtype }) => (dtype === "bool" ? "mask" : "bias"));
  require(new Set(kinds).size === kinds.length, "C4", `there are ${extras.length} operands after v`);
  for (const extra of extras) {
    require(extra.dtype === "bool" || extra.dtype === q.dtype, "C4", `${showType(extra)} is neither mask nor bias`);
    const common = extra.shape.length === 4 ? broadcastShapes(extra.shape, scores) : undefined;
    require(common && sameShape(common, scores), "C4", `${showType(extra)} does not stretch to ${showShape(scores)}`);
  }
  return { dtype: q.dtype, shape: [s.batch, s.heads, s.queries, s.valueWidth] };
}

function requireTables({ attrs, require }: Infer, tables: readonly TensorType[]): void {
  for (const name of ["mask", "score", "prob"] as const)
    for (const part of partsInOrder(attrs[name])) {
      require(name !== "mask" || part.kind !== "score", "C6", "the mask reads the score");
      if (part.kind !== "lookup") continue;
      const axes = tables[part.table]?.shape.length;
      require(axes === part.at.length, "C6", `${name} reads table${part.table} with ${part.at.length} indices`);
    }
}

/** Dense cost, mask or not: both products and the normaliser. */
function attentionCost(s: AttentionShapes, { normaliser, score, prob }: Attrs<typeof attentionAttrs>): Dim {
  const pairs = product([s.batch, s.heads, s.queries, s.keys]);
  const products = mul(mul(2, pairs), add(s.width, s.valueWidth));
  const normalising = { softmax: 6, sigmoid: 4, sum: 2 }[normaliser] ?? 1;
  return add(products, mul(normalising + stepsOn(score) + stepsOn(prob), pairs));
}

/** Functions that are applied to every score. */
function stepsOn(formula: IndexExpr): number {
  const scored = new Set<IndexExpr>();
  for (const part of partsInOrder(formula))
    if (part.kind === "score" || partsOf(part).some((inner) => scored.has(inner))) scored.add(part);
  return [...scored].filter(({ kind }) => kind === "apply").length;
}

/** What stands among the operands after v: a mask, a bias, then the tables of the formulas. */
export function attentionExtras(extras: readonly Value[], tables = 0) {
  const tensors = extras.slice(0, extras.length - tables);
  return {
    mask: tensors.find((value) => value.type.dtype === "bool"),
    bias: tensors.find((value) => value.type.dtype !== "bool"),
    tables: extras.slice(extras.length - tables),
  };
}

/** The formulas of an attention and what they read. */
export function scoreProgram(
  [q, k, v, ...extras]: readonly [Value, Value, Value, ...Value[]],
  attrs: Attrs<typeof attentionAttrs>,
): ScoreProgram {
  const s = attentionShapes(q.type, k.type, v.type);
  const { mask, bias, tables } = attentionExtras(extras, attrs.tables);
  return {
    ...{ scale: attrs.scale, causal: attrs.causal, normaliser: attrs.normaliser, mask, bias },
    formulas: { mask: attrs.mask, score: attrs.score, prob: attrs.prob },
    tables: tablesOf(tables),
    lengths: { B: s.batch, H: s.heads, Q: s.queries, K: s.keys },
  };
}

/** Whether an attention has formulas: what kernels cannot take. */
export const hasFormulas = ({ attrs }: Pick<Node, "attrs">): boolean =>
  attrs.get("mask") !== everything || attrs.get("score") !== theScore() || attrs.get("prob") !== theScore();

/** [batch, length, heads·width] as [batch, heads, length, width]. */
const headsShape = ({ dtype, shape }: TensorType, heads: number): TensorType => ({
  dtype,
  shape: [shape[0]!, heads, shape[1]!, divideExact(shape[2]!, heads) ?? 0],
});

function splitHeads(b: Emit, x: Value, heads: number): Value {
  const [batch, , length, width] = headsShape(x.type, heads).shape as [Dim, Dim, Dim, Dim];
  return b.transpose(b.reshape(x, { shape: [batch, length, heads, width] }), { perm: [0, 2, 1, 3] });
}

export const attention = {
  attention: defineOp({
    name: "attention",
    doc: "Scaled dot-product attention (Vaswani et al., arXiv:1706.03762): normaliser(score(scale · q kᵀ + bias), masked) v. Query heads share key heads in groups (Ainslie et al., arXiv:2305.13245). Rows that see no key are zero.",
    operands: ["q", "k", "v", "...extras"],
    attrs: attentionAttrs,
    traits: ["composite"],
    constraints,
    infer: (cx) => inferRank4(cx, cx.types[0]!, cx.types[1]!, cx.types[2]!),
    cost: ({ types, attrs }) => attentionCost(attentionShapes(types[0]!, types[1]!, types[2]!), attrs),
    decompose: (b, operands, attrs) => {
      const [q, k, v] = operands as [Value, Value, Value];
      return attendInSteps(b, [q, k, v], scoreProgram(operands as [Value, Value, Value], attrs));
    },
  }),
  attentionWithWeights: defineOp({
    name: "attentionWithWeights",
    doc: "Attention that answers its weights too, softmax(scale · q kᵀ + bias), causal: [batch, heads, queries, keys].",
    operands: ["q", "k", "v", "bias?"],
    attrs: { scale: attentionAttrs.scale, causal: attentionAttrs.causal },
    traits: ["composite"],
    constraints: {
      C1: constraints.C1,
      C2: constraints.C2,
      C3: constraints.C3,
      C4: "the bias has the element type of q and stretches to [batch, heads, queries, keys]",
    },
    infer: (cx) => {
      const [q, k, v, bias] = cx.types as [TensorType, TensorType, TensorType, TensorType?];
      const out = inferRank4({ ...cx, attrs: { ...plain, ...cx.attrs } }, q, k, v);
      cx.require(bias?.dtype !== "bool", "C4", "the bias is bool");
      return [out, { dtype: q.dtype, shape: [...q.shape.slice(0, 3), k.shape[2]!] }];
    },
    cost: ({ types, attrs }) => attentionCost(attentionShapes(types[0]!, types[1]!, types[2]!), { ...plain, ...attrs }),
    decompose: (b, operands, attrs) => {
      const qkv = operands.slice(0, 3) as [Value, Value, Value];
      const program = scoreProgram(operands as [Value, Value, Value], { ...plain, ...attrs });
      const { out, weights } = weighInSteps(b, qkv, program);
      return [out, weights];
    },
  }),
  packedAttention: defineOp({
    name: "packedAttention",
    doc: "Attention whose heads lie side by side in the last axis: q, k, v and the result are [batch, length, heads·width].",
    operands: ["q", "k", "v", "...extras"],
    attrs: packedAttrs,
    traits: ["composite"],
    constraints: { ...constraints, C7: "q, k and v are rank 3 and the heads divide their last axes" },
    infer: (cx) => {
      const [q, k, v] = cx.types as [TensorType, TensorType, TensorType];
      const { heads, kvHeads } = cx.attrs;
      const fits = [q, k, v].every(({ shape }) => shape.length === 3) && heads > 0 && kvHeads > 0;
      cx.require(fits, "C7", `q, k, v are ${[q, k, v].map(showType).join(", ")}`);
      const split = [headsShape(q, heads), headsShape(k, kvHeads), headsShape(v, kvHeads)] as const;
      cx.require(
        split.every(({ shape }) => shape[3] !== 0),
        "C7",
        `${heads} and ${kvHeads} heads do not divide ${[q, k, v].map(({ shape }) => show(shape[2]!)).join(", ")}`,
      );
      const { shape } = inferRank4(cx, ...split);
      return { dtype: q.dtype, shape: [shape[0]!, shape[2]!, mul(heads, shape[3]!)] };
    },
    cost: ({ types, attrs }) => {
      const [q, k, v] = types as [TensorType, TensorType, TensorType];
      const split = [headsShape(q, attrs.heads), headsShape(k, attrs.kvHeads), headsShape(v, attrs.kvHeads)] as const;
      return attentionCost(attentionShapes(...split), attrs);
    },
    decompose: (b, [q, k, v, ...extras], { heads, kvHeads, ...attrs }) => {
      const parts = [splitHeads(b, q!, heads), splitHeads(b, k!, kvHeads), splitHeads(b, v!, kvHeads)];
      const out = b.transpose(b.attention(...parts, ...extras, attrs), { perm: [0, 2, 1, 3] });
      const [batch, length, , width] = out.type.shape as [Dim, Dim, Dim, Dim];
      return b.reshape(out, { shape: [batch, length, mul(heads, width)] });
    },
  }),
};
