import { attrsOf, type Build } from "../../ir/arena.ts";
import { atScore, both, causalFormula, everything } from "../../ir/attend.ts";
import type { Dim } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { causalAmongLast } from "../../ir/index-analysis/diagonal.ts";
import { substituteParts } from "../../ir/index-expr/substitute.ts";
import { applied, constant, type IndexExpr, index, length, score as theScore } from "../../ir/index-expr/types.ts";
import { axisFromFirst } from "../../ir/types.ts";

/** A score for each query that takes part in the softmax and stands for no key (arXiv:2508.10925, §2). */
export interface Sink {
  /** Stretches to the scores, whose axis of keys is 1 here. */
  readonly value: Value;
  readonly scores: Value;
  readonly nodes: readonly Node[];
}

/** `softmax(concat(scores, sink))` less the weight of the sink, which is the last of the axis or the first. */
export function sinkOf({ node: kept }: Value): Sink | undefined {
  const softmax = kept.op === "slice" ? kept.operands[0]!.node : undefined;
  const joined = softmax?.op === "softmax" ? softmax.operands[0]!.node : undefined;
  if (joined?.op !== "concat" || joined.operands.length !== 2) return undefined;
  const { length: rank } = joined.results[0]!.type.shape;
  const { axis: cut, start } = attrsOf(kept, "slice");
  const [axis, ...others] = new Set(
    [cut, attrsOf(softmax!, "softmax").axis, attrsOf(joined, "concat").axis].map((at) => axisFromFirst(at, rank)),
  );
  if (others.length > 0 || (start !== 0 && start !== 1)) return undefined;
  const [value, scores] = [joined.operands[1 - start]!, joined.operands[start]!];
  const sizes = [kept.results[0]!, scores, value].map(({ type }) => type.shape[axis!]);
  return sizes[0] === sizes[1] && sizes[2] === 1 ? { value: narrow(value), scores, nodes: [kept, joined] } : undefined;
}

const narrow = (value: Value): Value => (value.node.op === "broadcast" ? narrow(value.node.operands[0]!) : value);

const keyAxis = 3;

/** What an attention is made with. */
export interface Attending {
  readonly operands: readonly [q: Value, k: Value, v: Value];
  readonly mask: Value | undefined;
  readonly bias: Value | undefined;
  readonly tables: readonly Value[];
  readonly causal: boolean;
  /** The mask formula and that of the score. */
  readonly seen: IndexExpr;
  readonly score: IndexExpr;
}

/** The same with a key of zeros in front whose score is the sink, [batch, heads, queries, 1] or 1 for any of these, and whose value is zero. */
export function behindSink(b: Build, { operands: [q, k, v], ...plain }: Attending, sink: Value): Attending {
  const keys = k.type.shape[2]!;
  const longer = (x: Value, value: number) => pairsBehindSink(b, x, value, keys);
  const tables = [...plain.tables.map((x) => (x.type.shape[keyAxis] === 1 ? x : longer(x, 0))), sink];
  const own = atScore(tables.length - 1, sink.type);
  const added = applied("add", theScore(), applied("select", isSink, own, constant(0)));
  return {
    operands: [q, b.pad(k, { axis: 2, low: 1, high: 0 }), b.pad(v, { axis: 2, low: 1, high: 0 })],
    mask: plain.mask && longer(plain.mask, 1),
    bias: plain.bias && longer(plain.bias, 0),
    tables,
    causal: false,
    seen: seenBehindSink(plain.causal, plain.seen),
    // The product with zeros is zero, to which kernels add what they add to others.
    score: plain.score === theScore() ? added : applied("select", isSink, own, plain.score),
  };
}

/** A tensor that stretches to the scores, with `value` in front. */
function pairsBehindSink(b: Build, x: Value, value: number, keys: Dim): Value {
  const { shape } = x.type;
  const whole = shape[keyAxis] === 1 ? b.broadcast(x, { shape: [...shape.slice(0, keyAxis), keys] }) : x;
  return b.pad(whole, { axis: keyAxis, low: 1, high: 0, value });
}

const isSink = applied("equal", index("k"), constant(0));

/** Which keys are seen where the first of them is the sink, which always is. */
function seenBehindSink(causal: boolean, seen: IndexExpr): IndexExpr {
  if (seen === everything)
    return causal ? applied("lessEqual", index("k"), applied("add", index("q"), constant(1))) : seen;
  // One key more is before the first query.
  if (!causal && seen === causalAmongLast) return seen;
  const before = new Map([index("k"), length("K")].map((part) => [part, applied("sub", part, constant(1))]));
  const shifted = substituteParts(causal ? both(causalFormula, seen) : seen, (part) => before.get(part) ?? part);
  return applied("or", isSink, shifted);
}
