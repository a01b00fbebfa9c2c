import type { Build } from "../../ir/arena.ts";
import { addedOn, attendInSteps, biasOn, everything, maskOn, staysFinite } from "../../ir/attend.ts";
import { type Dim, evaluate, show, sub, symbolsOf } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import { maskFacts } from "../../ir/index-analysis/facts.ts";
import { constant, score as theScore } from "../../ir/index-expr/types.ts";
import { heldBias } from "./held-bias.ts";
import { gridOf, lengthOf, type Part, type Run, widthOf } from "./part.ts";
import type { MaskProblem } from "./problem.ts";

/** Attention part by part, in the order of the queries. */
export function attendInParts(problem: MaskProblem, parts: readonly Part[]): Value {
  const shared = sharedBiases(problem, parts);
  const values = parts.map((part) => partOf(problem, part, shared.get(part)));
  return values.length === 1 ? values[0]! : problem.b.concat(...values, { axis: 2 });
}

/**
 * What is added to the scores of parts that differ in their first key only, where that depends on the distance alone:
 * it is computed for the widest of them and is the end of that for the others.
 */
function sharedBiases(problem: MaskProblem, parts: readonly Part[]): ReadonlyMap<Part, Value> {
  const { b, facts, seesItself, program, isPlain, held, added } = problem;
  const shared = new Map<Part, Value>();
  if (!facts.ofDistance || !seesItself || program.normaliser !== "softmax" || program.formulas.prob !== theScore())
    return shared;
  if (!isPlain && !staysFinite(program)) return shared;
  const own = isPlain && !held ? added! : constant(0);
  if (own !== constant(0) && !maskFacts({ expr: own, tables: program.tables }).ofDistance) return shared;
  const groups = new Map<string, Part[]>();
  for (const part of parts) {
    const [run, ...others] = part.keys;
    if (!run || others.length > 0 || part.full) continue;
    const key = `${show(lengthOf(part))} ${show(sub(part.end, run.end))}`;
    groups.set(key, [...(groups.get(key) ?? []), part]);
  }
  for (const group of groups.values()) {
    const widest = group.reduce((most, part) => (typical(widthOf(part)) > typical(widthOf(most)) ? part : most));
    const end = widthOf(widest);
    const bias = addedOn(b, program, problem.q.type.dtype, own, gridOf(problem, widest))!;
    for (const part of group) shared.set(part, b.slice(bias, { axis: 3, start: sub(end, widthOf(part)), end }));
  }
  return shared;
}

/** A size to compare sizes by, where lengths are open. */
const typical = (dim: Dim): number => evaluate(dim, new Map(symbolsOf(dim).map((name) => [name, 4096])));

/** The attention of one part; zero where its queries see no key. */
export function partOf(problem: MaskProblem, part: Part, shared?: Value): Value {
  const { b, sizes, isPlain, held, added, seesItself, program } = problem;
  const { batch, heads, valueWidth } = sizes;
  const { dtype } = problem.q.type;
  const rows = lengthOf(part);
  if (part.keys.length === 0) return b.broadcast(b.scalar(0, dtype), { shape: [batch, heads, rows, valueWidth] });
  const q = b.slice(problem.q, { axis: 2, start: part.start, end: part.end });
  const [k, v] = [problem.k, problem.v].map((x) => runsOf(b, x, part.keys)) as [Value, Value];
  const { scale, formulas } = program;
  const own = part.full ? { ...program, formulas: { ...formulas, mask: everything } } : program;
  const on = gridOf(problem, part);
  if (!isPlain || held === "scores")
    return attendInSteps(b, [q, k, v], own, { ...on, hiding: shared, ...(held && { steep: true }) });
  const biasWith = (mask?: Value): Value | undefined => {
    const bias = biasOn(b, own, dtype, added!, on);
    return bias && held ? heldBias(problem, part, bias, mask) : bias;
  };
  const joined = (): Value | undefined => {
    if (!held) return shared ?? addedOn(b, own, dtype, added!, on);
    const [bias, hiding] = [biasWith(), shared ?? addedOn(b, own, dtype, constant(0), on)];
    return bias && hiding ? b.add(bias, hiding) : (bias ?? hiding);
  };
  // Rows that see nothing are told by a mask, not by a bias.
  const mask = seesItself || part.full ? undefined : maskOn(b, own, on);
  const bias = mask ? biasWith(mask) : joined();
  return b.attention(q, k, v, ...[mask, bias].filter((extra) => extra !== undefined), { scale });
}

const runsOf = (b: Build, x: Value, runs: readonly Run[]): Value => {
  const pieces = runs.map(({ start, end }) => b.slice(x, { axis: 2, start, end }));
  return pieces.length === 1 ? pieces[0]! : b.concat(...pieces, { axis: 2 });
};
