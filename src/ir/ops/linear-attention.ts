import { type Attrs, attr, optional } from "../attrs.ts";
import type { Dim } from "../dim.ts";
import { isFloat } from "../dtype.ts";
import type { Graph, Value } from "../graph.ts";
import { defineOp, type Emit, type InferContext } from "../op-def.ts";
import { broadcastShapes, sameShape, showShape, showType } from "../types.ts";

const attrs = {
  scale: attr("float", "factor of what is read"),
  decay: optional("bool", "the operand after v is the logarithm of what is kept of the state at each step", false),
  delta: optional(
    "bool",
    "the last operand is the rate at which a key's value is replaced, instead of added to",
    false,
  ),
};

type LinearAttrs = Attrs<typeof attrs>;

/** The gates among the operands after v. */
export function gatesOf<T>(gates: readonly T[], { decay, delta }: Pick<LinearAttrs, "decay" | "delta">) {
  return { decay: decay ? gates[0] : undefined, rate: delta ? gates[decay ? 1 : 0] : undefined };
}

function infer({ types, attrs: given, require }: InferContext<typeof attrs>) {
  const [q, k, v, ...gates] = types;
  const operands = [q!, k!, v!];
  const uniform = operands.every(({ dtype, shape }) => dtype === q!.dtype && shape.length === 4);
  require(uniform && isFloat(q!.dtype), "C1", `q, k, v are ${operands.map(showType).join(", ")}`);
  const lead = q!.shape.slice(0, 3);
  const fits = sameShape(q!.shape, k!.shape) && sameShape(lead, v!.shape.slice(0, 3));
  require(fits, "C2", `q ${showShape(q!.shape)}, k ${showShape(k!.shape)} and v ${showShape(v!.shape)} do not fit`);
  const { decay, rate } = gatesOf(gates, given);
  require(gates.length ===
    Number(given.decay) + Number(given.delta), "C3", `there are ${gates.length} operands after v`);
  for (const [gate, widths] of [
    [decay, k!.shape],
    [rate, [...lead, 1]],
  ] as const) {
    const common = gate?.shape.length === 4 ? broadcastShapes(gate.shape, widths) : undefined;
    const stretches = !gate || (gate.dtype === q!.dtype && common && sameShape(common, widths));
    require(stretches, "C3", `${gate ? showType(gate) : ""} does not stretch to ${showShape(widths)}`);
  }
  return { dtype: q!.dtype, shape: [...lead, v!.shape[3]!] };
}

/** [batch, heads, length, …] with the length first, as `scan` walks it. */
const lengthFirst = (b: Emit, x: Value): Value => b.transpose(x, { perm: [2, 0, 1, 3] });

/** One step: the state is [batch, heads, width, value width], slices are [batch, heads, …]. */
function step(b: Emit, sequences: readonly Value[], state: Value, { decay, delta }: LinearAttrs): Graph {
  const inputs = [state, ...sequences].map(({ type: { dtype, shape } }, i) =>
    b.input({ name: `step.${i}`, dtype, shape: i === 0 ? shape : shape.slice(1) }),
  );
  const [s, q, k, v, ...gates] = inputs as [Value, Value, Value, Value, ...Value[]];
  const { decay: kept, rate } = gatesOf(gates, { decay, delta });
  const old = kept ? b.mul(s, b.reshape(kept, { shape: [...kept.type.shape, 1] })) : s;
  const stored = (key: Value) => b.contract(key, old, { spec: "b h d, b h d e -> b h e" });
  const added = rate ? b.mul(b.sub(v, stored(k)), rate) : v;
  const next = b.add(old, b.contract(k, added, { spec: "b h d, b h e -> b h d e" }));
  const read = b.contract(q, next, { spec: "b h d, b h d e -> b h e" });
  return {
    name: "step",
    inputs,
    outputs: [
      { name: "next", value: next },
      { name: "read", value: read },
    ],
  };
}

function decompose(b: Emit, [q, k, v, ...gates]: readonly Value[], given: LinearAttrs): Value {
  const { dtype, shape } = q!.type;
  const [batch, heads, length, width] = shape as [Dim, Dim, Dim, Dim];
  const { decay, rate } = gatesOf(gates, given);
  const wide = (gate: Value) => b.broadcast(gate, { shape: [batch, heads, length, gate.type.shape[3]!] });
  const stacked = [
    b.mul(q!, b.scalar(given.scale, dtype)),
    k!,
    v!,
    ...(decay ? [wide(b.exp(decay))] : []),
    ...(rate ? [wide(rate)] : []),
  ];
  const sequences = stacked.map((x) => lengthFirst(b, x));
  const state = b.broadcast(b.scalar(0, dtype), { shape: [batch, heads, width, v!.type.shape[3]!] });
  const body = step(b, sequences, state, given);
  const { results } = b.scan(state, ...sequences, { body, states: 1, sequences: sequences.length }).node;
  return b.transpose(results[1]!, { perm: [1, 2, 0, 3] });
}

export const linearAttention = {
  linearAttention: defineOp({
    name: "linearAttention",
    doc: "Causal attention by a state of fixed size: S ← e^decay S + k (v - Sᵀk if delta, v otherwise) rateᵀ, o = scale · Sᵀ q, one position after the other. Without gates it is linear attention (Katharopoulos et al., arXiv:2006.16236); with a decay, RetNet (arXiv:2307.08621) or gated linear attention (arXiv:2312.06635); with rates, the delta rule (arXiv:2406.06484), gated with both (arXiv:2412.06464).",
    operands: ["q", "k", "v", "...gates"],
    attrs,
    traits: ["composite"],
    constraints: {
      C1: "q, k and v are rank 4, [batch, heads, length, width], of one floating-point type",
      C2: "batches, heads and lengths are equal, q and k equally wide",
      C3: "after v come the decay and the rate as far as there are any, of the type of q; the decay stretches to k, the rate to [batch, heads, length, 1]",
    },
    infer,
    decompose,
  }),
};
