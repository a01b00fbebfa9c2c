import type { Node, Value } from "../../ir/graph.ts";
import type { IndexFn } from "../../ir/index-expr/functions.ts";
import { applied, constant, type IndexExpr } from "../../ir/index-expr/types.ts";
import { toFloat64 } from "../../ir/tensor.ts";
import { sameShape } from "../../ir/types.ts";
import { isFoldable } from "../rewrite/foldable.ts";
import type { Miss } from "../rewrite/match.ts";
import { scalarOf, tensorOf } from "../rewrite/scalar.ts";
import { maskedBelow, maskOfBias } from "./causal.ts";

/** One step between the product of queries and keys and the softmax, nearest the softmax first. */
export type Step =
  | { readonly kind: "scale"; readonly factor: number; readonly node: Node }
  | { readonly kind: "bias"; readonly value: Value; readonly negate: boolean; readonly node: Node }
  | { readonly kind: "mask"; readonly mask: Value; readonly keeps: boolean; readonly fill: number; readonly node: Node }
  | { readonly kind: "floor"; readonly node: Node }
  /** Multiplied by a tensor, or divided. */
  | { readonly kind: "factor"; readonly value: Value; readonly divides: boolean; readonly node: Node }
  | {
      readonly kind: "function";
      readonly of: (score: IndexExpr) => IndexExpr;
      readonly node: Node;
      /** All that it is made of, where the score is read more than once. */
      readonly within?: readonly Node[];
    }
  | { readonly kind: "move"; readonly node: Node };

/** The nodes a step is made of, its result's first. */
export const nodesOfStep = (step: Step): readonly Node[] =>
  step.kind === "function" && step.within ? step.within : [step.node];

export interface ScorePath {
  readonly product: Node;
  readonly steps: readonly Step[];
}

const maxSteps = 24;

/** Follows scores down to the product they come from. */
export function scorePath(value: Value): ScorePath | Miss {
  const steps: Step[] = [];
  let current = value;
  for (let i = 0; i < maxSteps; i++) {
    if (current.node.op === "contract") return shownByFloor(steps) ?? { product: current.node, steps };
    const step = composedStep(current) ?? stepBelow(current);
    if ("reason" in step) return step;
    steps.push(step.step, ...(step.below ? [step.below] : []));
    current = step.next;
  }
  return { depth: maxSteps, reason: "the scores are too far from their product", at: current };
}

/** A step, the one below it that the same node takes, if it takes two, and what is below. */
type Below = { readonly step: Step; readonly below?: Step; readonly next: Value } | Miss;

function stepBelow(value: Value): Below {
  const { node } = value;
  const [left] = node.operands;
  switch (node.op) {
    case "mul":
    case "div":
      return factorStep(value);
    case "max":
      return floorStep(value) ?? functionStep(value);
    case "neg":
      return { step: { kind: "scale", factor: -1, node }, next: left! };
    case "add":
    case "sub":
      return biasStep(value);
    case "select":
      return maskStep(value);
    case "reshape":
    case "transpose":
      return { step: { kind: "move", node }, next: left! };
    default:
      return functionStep(value);
  }
}

const blocked = (at: Value, reason: string): Miss => ({ depth: 2, reason, at });

/** The operand that is scores on their way, if one is: the first alone where operands cannot change places. */
function scoresIn(value: Value, commutes: boolean): Value | undefined {
  const choices = commutes ? value.node.operands : value.node.operands.slice(0, 1);
  return choices.find((side) => sameShape(side.type.shape, value.type.shape) && leadsToProduct(side));
}

const neither = (value: Value): Miss =>
  blocked(value, `neither side of ${value.node.op} is a product of queries and keys`);

function factorStep(value: Value): Below {
  const { node } = value;
  const [left, right] = node.operands as [Value, Value];
  const divides = node.op === "div";
  const factor = scalarOf(right);
  if (factor !== undefined && sameShape(left.type.shape, value.type.shape))
    return { step: { kind: "scale", factor: divides ? 1 / factor : factor, node }, next: left };
  const scores = scoresIn(value, !divides);
  if (!scores) return neither(value);
  return { step: { kind: "factor", value: scores === left ? right : left, divides, node }, next: scores };
}

/** Functions of one score that formulas have too, by operation. */
const functions = new Map<string, IndexFn>(
  (["tanh", "exp", "log", "sqrt", "abs", "sin", "cos", "min", "max", "pow"] as const).map((name) => [name, name]),
);

function functionStep(value: Value): Below {
  const { node } = value;
  const [scores, other] = node.operands;
  const fn = functions.get(node.op);
  const number = other && scalarOf(other);
  if (!fn || (other && number === undefined) || !sameShape(scores!.type.shape, value.type.shape))
    return blocked(value, `scores come from ${node.op}, not from a product`);
  const numbers = number === undefined ? [] : [constant(number)];
  return { step: { kind: "function", of: (score) => applied(fn, score, ...numbers), node }, next: scores! };
}

/** The same of several numbers; what answers a truth among them. */
const composable = new Map<string, IndexFn>([
  ...functions,
  ...(["add", "sub", "mul", "div", "neg", "equal", "less", "lessEqual", "and", "or", "not", "select"] as const).map(
    (name): [string, IndexFn] => [name, name],
  ),
]);
const sigmoidOf = (x: IndexExpr): IndexExpr =>
  applied("div", constant(1), applied("add", constant(1), applied("exp", applied("neg", x))));
const maxComposed = 24;

/** A function that reads its score more than once, as s · σ(s) does, and `nan_to_num`: undefined where it is none. */
function composedStep(value: Value): Below | undefined {
  const within = new Set<Node>();
  const open = new Set([value]);
  const isPart = ({ node, type }: Value) =>
    (composable.has(node.op) || node.op === "sigmoid") && sameShape(type.shape, value.type.shape);
  // What was made last is made of the others.
  for (let i = 0; i < maxComposed && (i < 1 || open.size > 1); i++) {
    const last = [...open].reduce((p, q) => (q.node.id > p.node.id ? q : p));
    if (!isPart(last)) return undefined;
    within.add(last.node);
    open.delete(last);
    for (const operand of last.node.operands) if (scalarOf(operand) === undefined) open.add(operand);
    if (i === 0 && open.size < 2) return undefined;
  }
  const [score, ...others] = open;
  if (!score || others.length > 0 || !sameShape(score.type.shape, value.type.shape) || !leadsToProduct(score))
    return undefined;
  const of = (s: IndexExpr): IndexExpr => {
    const made = new Map<Value, IndexExpr>([[score, s]]);
    const expr = (part: Value): IndexExpr => {
      const number = scalarOf(part);
      if (number !== undefined) return constant(number);
      let own = made.get(part);
      if (!own) {
        const args = part.node.operands.map(expr);
        const fn = composable.get(part.node.op);
        made.set(part, (own = fn ? applied(fn, ...args) : sigmoidOf(args[0]!)));
      }
      return own;
    };
    return expr(value);
  };
  return { step: { kind: "function", of, node: value.node, within: [...within] }, next: score };
}

function biasStep(value: Value): Below {
  const { node } = value;
  const [left, right] = node.operands;
  const scores = scoresIn(value, true);
  if (!scores) return neither(value);
  const [bias, subtracts] = [scores === left ? right! : left!, node.op === "sub"];
  const step: Step = { kind: "bias", value: bias, negate: subtracts && scores === left, node };
  return { step, next: scores, ...(subtracts && !step.negate && { below: { kind: "scale", factor: -1, node } }) };
}

function maskStep(value: Value): Below {
  const { node } = value;
  const [mask, yes, no] = node.operands as [Value, Value, Value];
  const keeps = scalarOf(no) !== undefined;
  const fill = scalarOf(keeps ? no : yes);
  const scores = keeps ? yes : no;
  if (fill === undefined) return blocked(value, "the scores where the mask is off are no constant");
  if (!(fill <= maskedBelow)) return blocked(value, `the scores where the mask is off are ${fill}, which still counts`);
  if (!sameShape(scores.type.shape, value.type.shape)) return blocked(value, "the mask widens the scores");
  return { step: { kind: "mask", mask, keeps, fill, node }, next: scores };
}

/** The greatest float32, and a number little but minus infinity is below of. */
const greatest = 3.4028234663852886e38;
const lowest = -3e38;
const infiniteBelow = "scores held at the least number may be minus infinity below";

/** Scores held at the least number there is, so that none is minus infinity. */
function floorStep(value: Value): Below | undefined {
  const { node } = value;
  const [scores, floor] = node.operands as [Value, Value];
  const at = scalarOf(floor);
  if (at === undefined || !(at <= lowest) || !sameShape(scores.type.shape, value.type.shape)) return undefined;
  return { step: { kind: "floor", node }, next: scores };
}

/**
 * A floor makes no difference while no score below it is minus infinity: one finite mask hides keys, which two would hide
 * deeper, and all else that is added is finite.
 */
function shownByFloor(steps: readonly Step[]): Miss | undefined {
  const first = steps.findIndex(({ kind }) => kind === "floor");
  if (first < 0) return undefined;
  let scale = 1;
  let hides = false;
  for (const step of steps.slice(first)) {
    if (step.kind === "scale") scale *= Math.abs(step.factor);
    if (step.kind === "factor" || step.kind === "function") return blocked(step.node.results[0]!, infiniteBelow);
    const low = lowestAdded(step) * scale;
    if (low > lowest / 2) continue;
    if (hides || !(low >= -greatest)) return blocked(step.node.results[0]!, infiniteBelow);
    hides = true;
  }
  return undefined;
}

/** The least a step adds to scores or puts in their place; minus infinity where that is not known. */
function lowestAdded(step: Step): number {
  if (step.kind === "mask") return step.fill;
  if (step.kind !== "bias") return 0;
  const mask = step.negate ? undefined : maskOfBias(step.value, (fill) => fill <= maskedBelow);
  if (mask) return mask.fill;
  const tensor = tensorOf(step.value);
  if (!tensor) return Number.NEGATIVE_INFINITY;
  return toFloat64(tensor).reduce((least, x) => Math.min(least, step.negate ? -x : x), 0);
}

/** Operations a score path goes through. */
const followed = new Set(["mul", "div", "sub", "add", "neg", "select", "reshape", "transpose", ...functions.keys()]);

/** Whether the steps of a score path lead from here to a product that is computed at run time. */
function leadsToProduct(value: Value): boolean {
  let current = value;
  for (let i = 0; i < maxSteps; i++) {
    const { node } = current;
    if (isFoldable(current)) return false;
    if (node.op === "contract") return node.operands.length === 2;
    if (node.op === "select")
      current = scalarOf(node.operands[2]!) === undefined ? node.operands[2]! : node.operands[1]!;
    else if (node.op === "sub") current = leadsDirectly(node.operands[1]!) ? node.operands[1]! : node.operands[0]!;
    else if (node.op === "add" || node.op === "mul")
      current = leadsDirectly(node.operands[0]!) ? node.operands[0]! : node.operands[1]!;
    else if (followed.has(node.op)) current = node.operands[0]!;
    else return false;
  }
  return false;
}

/** A shallower look, so that sums of sums stay linear: the product is within a few steps. */
function leadsDirectly(value: Value): boolean {
  let current: Value | undefined = value;
  for (let i = 0; i < 6 && current; i++) {
    if (current.node.op === "contract") return current.node.operands.length === 2;
    if (!followed.has(current.node.op)) return false;
    current = current.node.op === "select" ? current.node.operands[1] : current.node.operands[0];
  }
  return false;
}
