import type { Build } from "../../ir/arena.ts";
import {
  addedOn,
  attendInSteps,
  biasOn,
  both,
  everything,
  maskOn,
  type ScoreProgram,
  staysFinite,
} from "../../ir/attend.ts";
import { type Dim, evaluate, show, sub, symbolsOf } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import { maskFacts } from "../../ir/index-analysis/facts.ts";
import { operandsOf } from "../../ir/index-analysis/logic.ts";
import { constant, type IndexExpr, score as theScore } from "../../ir/index-expr/types.ts";
import { heldBias } from "./held-bias.ts";
import { gridOf, lengthOf, type Part, type Run, widthOf } from "./part.ts";
import type { MaskProblem } from "./problem.ts";

/** What parts have in common with others. */
interface Shared {
  /** What is added to the scores, or hides them. */
  readonly bias?: Value | undefined;
  /** The part of the mask that depends on the distance alone. */
  readonly seen?: Value | undefined;
}

/** Attention part by part, in the order of the queries. */
export function attendInParts(problem: MaskProblem, parts: readonly Part[]): Value {
  const biases = sharedBiases(problem, parts);
  const seen = biases.size > 0 ? new Map<Part, Value>() : sharedMasks(problem, parts);
  const values = parts.map((part) => partOf(problem, part, { bias: biases.get(part), seen: seen.get(part) }));
  return values.length === 1 ? values[0]! : problem.b.concat(...values, { axis: 2 });
}

/** What is added to the scores, or hides them, where that depends on the distance alone. */
function sharedBiases(problem: MaskProblem, parts: readonly Part[]): ReadonlyMap<Part, Value> {
  const { b, facts, seesItself, program, isPlain, held, added } = problem;
  const none = new Map<Part, Value>();
  if (!facts.ofDistance || !seesItself || program.normaliser !== "softmax" || program.formulas.prob !== theScore())
    return none;
  if (!isPlain && !staysFinite(program)) return none;
  const own = isPlain && !held ? added! : constant(0);
  if (own !== constant(0) && !isOfDistance(own, program)) return none;
  return endsOfWidest(
    b,
    parts,
    1,
    (widest) => addedOn(b, program, problem.q.type.dtype, own, gridOf(problem, widest))!,
  );
}

/** What of a conjunction depends on the distance alone, and what does not. */
function byDistance({ formulas, tables }: ScoreProgram): readonly [alone: IndexExpr, rest: IndexExpr] {
  const conditions = operandsOf("and", formulas.mask);
  const [alone, rest] = [true, false].map((wanted) =>
    conditions.filter((condition) => isOfDistance(condition, { tables }) === wanted).reduce(both, everything),
  );
  return [alone!, rest!];
}

function sharedMasks({ b, ...problem }: MaskProblem, parts: readonly Part[]): ReadonlyMap<Part, Value> {
  const { program } = problem;
  const [alone] = byDistance(program);
  if (alone === everything) return new Map();
  const own = { ...program, formulas: { ...program.formulas, mask: alone } };
  return endsOfWidest(b, parts, 2, (widest) => maskOn(b, own, gridOf({ b, ...problem }, widest))!);
}

const isOfDistance = (expr: IndexExpr, { tables }: Pick<ScoreProgram, "tables">): boolean =>
  maskFacts({ expr, tables }).ofDistance;

/**
 * What depends on the distance alone, for parts that differ in their first key only, of which there are at least `least`: it
 * is made for the widest of them and is the end of that for the others.
 */
function endsOfWidest(
  b: Build,
  parts: readonly Part[],
  least: number,
  make: (widest: Part) => Value,
): ReadonlyMap<Part, Value> {
  const groups = new Map<string, Part[]>();
  for (const part of parts) {
    const [run, ...others] = part.keys;
    if (!run || others.length > 0 || part.full) continue;
    const key = `${show(lengthOf(part))} ${show(sub(part.end, run.end))}`;
    groups.set(key, [...(groups.get(key) ?? []), part]);
  }
  const found = new Map<Part, Value>();
  for (const group of groups.values()) {
    if (group.length < least) continue;
    const widest = group.reduce((most, part) => (typical(widthOf(part)) > typical(widthOf(most)) ? part : most));
    const end = widthOf(widest);
    const whole = make(widest);
    for (const part of group) found.set(part, b.slice(whole, { axis: 3, start: sub(end, widthOf(part)), end }));
  }
  return found;
}

/** A size to compare sizes by, where lengths are open. */
const typical = (dim: Dim): number => evaluate(dim, new Map(symbolsOf(dim).map((name) => [name, 4096])));

/** The attention of one part; zero where its queries see no key. */
export function partOf(problem: MaskProblem, part: Part, { bias: shared, seen }: Shared = {}): Value {
  const { b, sizes, isPlain, held, added, seesItself, program } = problem;
  const { batch, heads, valueWidth } = sizes;
  const { dtype } = problem.q.type;
  const rows = lengthOf(part);
  if (part.keys.length === 0) return b.broadcast(b.scalar(0, dtype), { shape: [batch, heads, rows, valueWidth] });
  const q = b.slice(problem.q, { axis: 2, start: part.start, end: part.end });
  const [k, v] = [problem.k, problem.v].map((x) => runsOf(b, x, part.keys)) as [Value, Value];
  const { scale, formulas } = program;
  const left = part.full ? everything : seen ? byDistance(program)[1] : formulas.mask;
  const own = { ...program, formulas: { ...formulas, mask: left } };
  const on = { ...gridOf(problem, part), valid: seen };
  if (!isPlain || held === "scores")
    return attendInSteps(b, [q, k, v], own, { ...on, hiding: shared, ...(held && { steep: true }) });
  const biasOfPart = (): Value | undefined => {
    const bias = biasOn(b, own, dtype, added!, on);
    return bias && held ? heldBias(problem, part, bias) : bias;
  };
  const joined = (): Value | undefined => {
    if (!held) return shared ?? addedOn(b, own, dtype, added!, on);
    const [bias, hiding] = [biasOfPart(), shared ?? addedOn(b, own, dtype, constant(0), on)];
    return bias && hiding ? b.add(bias, hiding) : (bias ?? hiding);
  };
  // Rows that see nothing are told by a mask, not by a bias.
  const mask = seesItself || part.full ? undefined : maskOn(b, own, on);
  const bias = mask ? biasOfPart() : joined();
  return b.attention(q, k, v, ...[mask, bias].filter((extra) => extra !== undefined), { scale });
}

const runsOf = (b: Build, x: Value, runs: readonly Run[]): Value => {
  const pieces = runs.map(({ start, end }) => b.slice(x, { axis: 2, start, end }));
  return pieces.length === 1 ? pieces[0]! : b.concat(...pieces, { axis: 2 });
};
