import { attrsOf, type Build } from "../../ir/arena.ts";
import { both, causalFormula, everything } from "../../ir/attend.ts";
import type { Dim } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import { seesItself } from "../../ir/index-analysis/diagonal.ts";
import { type IndexExpr, score as theScore } from "../../ir/index-expr/types.ts";
import { attentionExtras } from "../../ir/ops/attention.ts";
import { sameShape } from "../../ir/types.ts";
import type { Matcher } from "../rewrite/fuse.ts";
import { scalarOf } from "../rewrite/scalar.ts";
import {
  type AddedMask,
  conjuncts,
  isCausalBias,
  maskedBelow,
  maskOfBias,
  mayHide,
  withoutLeadingAxes,
} from "./causal.ts";
import { isTriangleOf, toldBy } from "./lift.ts";

/** Queries and keys are the last axes of what an attention is given. */
const pair = { query: 1, key: 0 };

/** What positions tell of a mask, and the rest of it. */
interface Told {
  readonly causal: boolean;
  readonly formula: IndexExpr;
  readonly rest: readonly Value[];
}

const nothing: Told = { causal: false, formula: everything, rest: [] };
const all = (p: Told, q: Told): Told => ({
  causal: p.causal || q.causal,
  formula: both(p.formula, q.formula),
  rest: [...p.rest, ...q.rest],
});

/**
 * Forms of masks write those of their parts over positions in f64, which no exporter does: they are not taken apart again
 * where a file of ours is read.
 */
const isOfForm = ({ node }: Value): boolean => node.operands.some(({ type }) => type.dtype === "f64");

function toldOf(mask: Value, queries: Dim, keys: Dim): Told {
  return conjuncts(mask)
    .map((part): Told => {
      if (isOfForm(part)) return { ...nothing, rest: [part] };
      if (isTriangleOf(part, pair)) return { ...nothing, causal: true };
      const formula = toldBy(part, pair, queries, keys);
      return formula ? { ...nothing, formula } : { ...nothing, rest: [part] };
    })
    .reduce(all, nothing);
}

/** What is added up, in order. A bias in which minus infinity takes the place of some is a mask and what is left of it. */
function terms(b: Build, bias: Value): readonly Value[] {
  const found: Value[] = [];
  const open = [bias];
  for (let value = open.pop(); value; value = open.pop()) {
    const parts = value.node.op === "add" ? value.node.operands : apart(b, value);
    if (parts) open.push(...parts.toReversed());
    else found.push(value);
  }
  return found;
}

function apart(b: Build, bias: Value): readonly Value[] | undefined {
  const { node, type } = withoutLeadingAxes(bias);
  const [condition, ...choices] = node.op === "select" ? (node.operands as [Value, Value, Value]) : [];
  const at = choices.findIndex((choice) => scalarOf(choice) === Number.NEGATIVE_INFINITY);
  const other = choices[1 - at];
  if (!condition || at < 0 || !other || scalarOf(other) !== undefined) return undefined;
  const [hidden, seen] = [choices[at]!, b.scalar(0, type.dtype)];
  return [at === 0 ? b.select(condition, hidden, seen) : b.select(condition, seen, hidden), other];
}

/** The mask that a bias is, laid out as the bias is. */
function maskUnder(b: Build, bias: Value): AddedMask | undefined {
  const value = withoutLeadingAxes(bias);
  if (value.node.op !== "reshape") return maskOfBias(value, isHidden);
  const [inner] = value.node.operands as [Value];
  const added = maskOfBias(inner, isHidden);
  const isWhole = added && sameShape(added.mask.type.shape, inner.type.shape);
  return isWhole ? { ...added, mask: b.reshape(added.mask, { shape: value.type.shape }) } : undefined;
}

const isHidden = (element: number): boolean => element <= maskedBelow;

/** What is stretched along axes it has is so too where it is added. */
function unstretched(term: Value): Value {
  const [inner] = term.node.operands;
  const isStretched = term.node.op === "broadcast" && inner!.type.shape.length === term.type.shape.length;
  return isStretched ? unstretched(inner!) : term;
}

/** A mask as long as it is added: what it tells, where rows that see nothing are no others for it. */
function toldOfTerm(b: Build, term: Value, isAlone: boolean, queries: Dim, keys: Dim): Told | undefined {
  const selected = maskUnder(b, term);
  if (selected) {
    const told = toldOf(selected.keeps ? selected.mask : b.not(selected.mask), queries, keys);
    if (selected.fill === Number.NEGATIVE_INFINITY) return told;
    const formula = told.causal ? both(causalFormula, told.formula) : told.formula;
    // What is finite still counts in a row that sees nothing.
    const sees = isAlone && told.rest.length === 0 && seesItself({ expr: formula, tables: [] }, queries, keys);
    return sees ? told : undefined;
  }
  const isTriangle = isCausalBias(term, pair, isAlone ? isHidden : (element) => element === Number.NEGATIVE_INFINITY);
  return isTriangle ? { ...nothing, causal: true } : undefined;
}

/** All of them as one, along [batch, heads, queries, keys]. */
function ofRank4(b: Build, parts: readonly Value[], join: "and" | "add"): readonly Value[] {
  const [first, ...others] = parts;
  if (!first) return [];
  const whole = others.reduce((x, y) => b[join](x, y), first);
  const { shape } = whole.type;
  return [b.reshape(whole, { shape: [...Array.from({ length: 4 - shape.length }, () => 1), ...shape] })];
}

/** Masks that an attention is given as tensors, as files with operators for attention have them, where positions tell them. */
export const toldMask: Matcher = {
  name: "attention-told-mask",
  formula:
    "attention(q, k, v, m) = attention(q, k, v, the rest of m) with what positions tell of m as a formula or causal",
  roots: ["attention"],
  refuses: [],
  match(root, { arena }) {
    const attrs = attrsOf(root, "attention");
    const [q, k, v, ...extras] = root.operands as readonly [Value, Value, Value, ...Value[]];
    const { mask, bias, tables } = attentionExtras(extras, attrs.tables);
    const [queries, keys] = [q.type.shape[2]!, k.type.shape[2]!];
    // What is added ahead of a function of the scores is no mask behind it.
    const isPlain = attrs.normaliser === "softmax" && attrs.score === theScore();
    const b = arena.build;
    const added = bias && isPlain ? terms(b, bias).map(unstretched) : [];
    const isAlone = !mask && attrs.mask === everything && added.filter(mayHide).length === 1;
    const ofTerms = added.map((term) => toldOfTerm(b, term, isAlone, queries, keys));
    const told = [mask ? toldOf(mask, queries, keys) : nothing, ...ofTerms.map((one) => one ?? nothing)].reduce(all);
    if (told.formula === everything && (attrs.causal || !told.causal)) return undefined;
    const left = added.filter((_, i) => ofTerms[i] === undefined);
    const isKept = left.length === added.length;
    const biases = !isKept ? ofRank4(b, left, "add") : bias ? [bias] : [];
    const attended = b.attention(q, k, v, ...ofRank4(b, told.rest, "and"), ...biases, ...tables, {
      ...attrs,
      causal: attrs.causal || told.causal,
      mask: both(attrs.mask, told.formula),
    });
    return { values: [attended], covered: [root] };
  },
};
