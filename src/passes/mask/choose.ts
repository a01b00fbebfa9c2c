import type { Arena } from "../../ir/arena.ts";
import type { AttentionShapes } from "../../ir/attend.ts";
import { type Dim, evaluateKnown, isStatic, substitute, symbol, symbolsOf } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { sameShape } from "../../ir/types.ts";
import { unseenUnder } from "../attention/unseen.ts";
import type { PassContext } from "../pass.ts";
import { isFoldable } from "../rewrite/foldable.ts";
import { outliner } from "../rewrite/outline.ts";
import { noteOf } from "../rewrite/report.ts";
import { banded } from "./banded.ts";
import { dense, denseBelow } from "./dense.ts";
import type { Numbers } from "./estimate.ts";
import type { Form, FormContext, Plan } from "./form.ts";
import { gathered } from "./gathered.ts";
import { globals } from "./globals.ts";
import { type MaskProblem, problemOf, type Unseen } from "./problem.ts";
import { split } from "./split.ts";
import { stairs } from "./stairs.ts";
import { heldIn, heldScores } from "./steep.ts";

/** Every way to compute an attention. `mask-dense` always has a plan. */
export const forms: readonly Form[] = [dense, banded, globals, stairs, split, gathered];

interface Candidate {
  readonly form: Form;
  readonly plan: Plan;
}

/** The forms that can express an attention, and why the others cannot. */
interface Candidates {
  readonly found: readonly Candidate[];
  readonly refused: readonly (readonly [form: Form, reason: string])[];
}

const slower = "another form takes less time at these lengths";
const switchedOff = "switched off";

/** What takes the place of an attention, and the form that made it. */
interface Lowered {
  readonly form: string;
  readonly value: Value;
}

/**
 * What takes the place of an attention, by the estimated time of every form that can express it. `limits` are the greatest
 * lengths the model takes, as far as they are known.
 */
export function lowered(
  node: Node,
  unseen: Unseen | undefined,
  limits: ReadonlyMap<Dim, number>,
  cx: PassContext,
): Lowered {
  const problem = problemIn(node, unseen, cx);
  const numbers = numbersOf(problem.sizes, cx.dims);
  if (numbers && !(isStatic(problem.sizes.queries) && isStatic(problem.sizes.keys)))
    return specialised(problem, numbers, cx);
  const found = candidates(problem, { target: cx.target, numbers }, cx);
  if (numbers) return built(chosen(best(found.found, numbers), found, problem, cx));
  const { queries, keys } = problem.sizes;
  const most = Math.min(...[queries, keys].map((dim) => limits.get(dim) ?? Number.POSITIVE_INFINITY));
  return dispatched(problem, found, most, cx);
}

function problemIn(node: Node, unseen: Unseen | undefined, cx: PassContext): MaskProblem {
  const problem = problemOf(node, cx.arena.build, unseen);
  const mayHold = cx.target.choices.holdsUp && !cx.options.without.has(heldScores.name);
  return { ...problem, held: mayHold ? heldIn(problem, cx) : undefined };
}

const built = ({ form, plan }: Candidate): Lowered => ({ form: form.name, value: plan.build() });

/** The lengths an attention will run at; undefined where one is neither given nor hinted. */
export function numbersOf(sizes: AttentionShapes, dims: ReadonlyMap<string, number>): Numbers | undefined {
  const [queries, keys] = [evaluateKnown(sizes.queries, dims), evaluateKnown(sizes.keys, dims)];
  if (queries === undefined || keys === undefined) return undefined;
  return { batch: evaluateKnown(sizes.batch, dims) ?? 1, queries, keys };
}

function candidates(problem: MaskProblem, form: FormContext, cx: PassContext): Candidates {
  const found: Candidate[] = [];
  const refused: (readonly [Form, string])[] = [];
  for (const one of forms) {
    const plan = cx.options.without.has(one.name) && one !== dense ? switchedOff : one.plan(problem, form);
    if (typeof plan === "string") refused.push([one, plan]);
    else found.push({ form: one, plan: one === dense ? plan : addingMeans(plan, problem) });
  }
  return { found, refused };
}

const addingMeans = (plan: Plan, { b, unseen }: MaskProblem): Plan =>
  unseen ? { ...plan, build: () => b.add(plan.build(), unseen.means) } : plan;

/** A second form in the file, or another than `mask-dense`, must take at most this share of the time. */
const worthwhile = 0.9;

/** The form that takes the least time; `mask-dense` unless another is clearly faster. */
function best(found: readonly Candidate[], numbers: Numbers): Candidate {
  const time = ({ form, plan }: Candidate) => plan.time(numbers) * (form === dense ? worthwhile : 1);
  return found
    .filter(({ plan }) => numbers.queries >= (plan.least ?? 1))
    .reduce((least, one) => (time(one) < time(least) ? one : least));
}

/** Reports what was chosen, and why the others were not. */
function chosen(
  one: Candidate,
  { found, refused }: Candidates,
  { node, held }: MaskProblem,
  cx: PassContext,
): Candidate {
  const note = noteOf(cx, node);
  cx.report.fired(one.form.name, 1, note);
  if (held && one.plan.holds) cx.report.fired(heldScores.name, 1, note);
  for (const [form, reason] of refused) cx.report.refused(form.name, reason, note);
  for (const { form } of found) if (form !== one.form) cx.report.refused(form.name, slower, note);
  return one;
}

/** The same, where the other form spares keys at any length. */
const worthGivingUpOpenLengths = 0.75;

/**
 * Lengths that are hinted but open in the file: a form for any length where one is as good, else one for these lengths
 * behind `if`, with one for any length beside it.
 */
function specialised(problem: MaskProblem, numbers: Numbers, cx: PassContext): Lowered {
  const anyLength = candidates(problem, { target: cx.target, numbers }, cx);
  const general = best(anyLength.found, numbers);
  const lengths = new Map(
    [problem.sizes.queries, problem.sizes.keys].flatMap(symbolsOf).map((name) => [name, cx.dims.get(name)!] as const),
  );
  const fixed = withLengths(problem, lengths, cx);
  const found = candidates(fixed, { target: cx.target, numbers }, cx);
  const special = best(found.found, numbers);
  const share = general.form === dense ? worthwhile : worthGivingUpOpenLengths;
  if (special.plan.time(numbers) > share * general.plan.time(numbers))
    return guarded(problem, chosen(general, anyLength, problem, cx), anyLength.found, cx.arena);
  chosen(special, found, problem, cx);
  const b = cx.arena.build;
  const out = b.refine(special.plan.build(), { shape: problem.node.results[0]!.type.shape });
  const conditions = [...lengths].map(([name, length]) =>
    b.equal(b.size({ of: symbol(name) }), b.scalar(length, "i64")),
  );
  const condition = conditions.reduce((x, y) => b.and(x, y));
  const other = best(
    anyLength.found.filter(({ plan }) => plan.least === undefined),
    numbers,
  );
  const value = branched(problem, condition, [out, other.plan.build()], "whenTrue", cx.arena);
  return { form: special.form.name, value };
}

/** A form with `mask-dense` beside it for lengths that are too short for it. */
function guarded(problem: MaskProblem, one: Candidate, found: readonly Candidate[], arena: Arena): Lowered {
  const { form, plan } = one;
  if (plan.least === undefined) return built(one);
  const b = arena.build;
  const isShort = b.less(b.size({ of: problem.sizes.queries }), b.scalar(plan.least, "i64"));
  const usual = found.find(({ form }) => form === dense)!;
  const value = branchedBelow(problem, plan.least, isShort, usual, plan.build(), arena);
  return { form: form.name, value };
}

/** The attention on tensors whose lengths are numbers. */
function withLengths(
  { node, unseen }: MaskProblem,
  lengths: ReadonlyMap<string, number>,
  cx: PassContext,
): MaskProblem {
  const refined = (value: Value) => {
    const shape = value.type.shape.map((dim) => substitute(dim, lengths));
    return sameShape(shape, value.type.shape) ? value : cx.arena.build.refine(value, { shape });
  };
  const known = unseen && { ...unseen, means: refined(unseen.means) };
  return problemIn(cx.arena.rebuild(node, node.operands.map(refined)), known, cx);
}

/** Lengths a form is compared with `mask-dense` at where none is known. */
const probes = Array.from({ length: 14 }, (_, i) => 2 ** (i + 4));

/**
 * No length is known: the form for any length that wins at long ones, behind `if` from where on it wins, and up to where a
 * kernel that keeps no scores does again.
 */
function dispatched(problem: MaskProblem, all: Candidates, most: number, cx: PassContext): Lowered {
  const { found } = all;
  const { queries, keys } = problem.sizes;
  const at = (length: number): Numbers => ({
    batch: 1,
    queries: isStatic(queries) ? queries : length,
    keys: isStatic(keys) ? keys : length,
  });
  const usual = found.find(({ form }) => form === dense)!;
  const other = best(found, at(Math.min(4096, most)));
  const least = other.plan.least ?? 1;
  const possible = probes.filter((length) => length <= most);
  const wins = possible.map(
    (length) => length >= least && other.plan.time(at(length)) < worthwhile * usual.plan.time(at(length)),
  );
  const last = wins.lastIndexOf(true);
  const first = wins.lastIndexOf(false, last) + 1;
  if (other === usual || last < 0) return built(chosen(usual, all, problem, cx));
  chosen(other, all, problem, cx);
  if (first === 0 && last === possible.length - 1) return guarded(problem, other, found, cx.arena);
  const b = cx.arena.build;
  const size = b.size({ of: isStatic(queries) ? keys : queries });
  const isShort = b.less(size, b.scalar(possible[first]!, "i64"));
  const beyond = possible[last + 1];
  const made = other.plan.build();
  const isMiddle = beyond !== undefined && b.less(size, b.scalar(beyond, "i64"));
  // Within the branch of what is not short: the shorter a length, the more conditions take of its time.
  const long = isMiddle ? branched(problem, isMiddle, [made, usual.plan.build()], "whenTrue", cx.arena) : made;
  const value = branchedBelow(problem, possible[first]!, isShort, usual, long, cx.arena);
  return { form: other.form.name, value };
}

/** All pairs where `condition` says that there are fewer than `below` queries, else what another form makes. */
function branchedBelow(
  problem: MaskProblem,
  below: number,
  condition: Value,
  usual: Candidate,
  other: Value,
  arena: Arena,
): Value {
  const { value, ahead } = denseBelow(problem, below) ?? { value: usual.plan.build(), ahead: [] };
  return branched(problem, condition, [value, other], "whenFalse", arena, ahead);
}

/** Two forms behind `if`. The branches are closed: what the attention reads comes in as captures. */
function branched(
  { node, unseen }: MaskProblem,
  condition: Value,
  roots: readonly [whenTrue: Value, whenFalse: Value],
  expected: "whenTrue" | "whenFalse",
  arena: Arena,
  ahead: readonly Value[] = [],
): Value {
  const under = unseen && unseenUnder(unseen.rows);
  // Which rows see nothing is told by the first key that is seen, where the mask alone tells that: little to compute in a branch.
  const isLittle = under?.places !== undefined && node.operands.includes(under.mask);
  const rows = unseen && !isLittle ? [unseen.rows] : [];
  const captures = [...new Set([...node.operands, ...rows, ...ahead])].filter(
    (value) => value.node.operands.length > 0 || !isFoldable(value),
  );
  const outline = outliner(arena, captures);
  const [whenTrue, whenFalse] = [outline("so", roots[0]), outline("else", roots[1])];
  return arena.node("if", [condition, ...captures], { whenTrue, whenFalse, expected }).results[0]!;
}
