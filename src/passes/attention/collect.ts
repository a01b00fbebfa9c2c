import type { Build } from "../../ir/arena.ts";
import { everything } from "../../ir/attend.ts";
import type { Value } from "../../ir/graph.ts";
import { causalAmongLast, seesItself } from "../../ir/index-analysis/diagonal.ts";
import type { IndexExpr } from "../../ir/index-expr/types.ts";
import type { Miss } from "../rewrite/match.ts";
import type { Groups } from "./axes.ts";
import { conjuncts, isCausalBias, isFiniteBias, maskedBelow, maskOfBias, mayHide, type PairAxes } from "./causal.ts";
import { fillOf, fillOfAll, type Hider, keepsDepths, swallowed } from "./depths.ts";
import { conjunction, isTriangleOf, toldBy } from "./lift.ts";
import type { Candidate } from "./match.ts";
import type { Roles } from "./roles.ts";
import type { Step } from "./scores.ts";
import type { Counted } from "./unseen.ts";

export const otherMask = "what is made 0 is not what the mask of the scores hides";
const addedAfter =
  "a bias is added after scores are replaced, and counts in a row that sees nothing, which is not known not to be there";
export const deepSink = "the sink may be as low as what is put in the place of hidden scores";
export const hidesBeside =
  "a bias may hide keys as deep as a mask does that is finite, and then what that hides counts";
export const maskedAhead = "scores are masked ahead of a function of them, which lifts what they are masked with";
/** As one writes it: in single precision -1e38 is no round number. */
const round = (fill: number): number => Number(fill.toPrecision(6));
const hidesUnlike = (fills: readonly number[]): string =>
  `masks that fill with ${fills.map(round).join(", ")} hide some keys deeper than others, which shows in a row that sees nothing`;
const isMasked = (element: number): boolean => element <= maskedBelow;

/** A term added to the scores; a mask is one that is zero or very negative. */
export interface Term {
  readonly value: Value;
  readonly groups: Groups;
  readonly factor: number;
}

/** A step with where the axes of its result are. */
interface Placed<S extends Step = Step> {
  readonly step: S;
  readonly groups: Groups;
}

/** A tensor that multiplies all scores of a query, or all of a key. */
export interface Factor extends Placed<Extract<Step, { kind: "factor" }>> {
  readonly side: "query" | "key";
}

/**
 * What happens to scores on their way to the softmax: linear · q kᵀ, then `middle`, which no mask or bias can say, then
 * times `scale`, plus what is added, masked.
 */
export interface Collected {
  readonly linear: number;
  readonly factors: readonly Factor[];
  /** From the product on. */
  readonly middle: readonly Placed[];
  readonly scale: number;
  readonly causal: boolean;
  /** What positions alone tell of the mask, besides `causal`; not among `masks`. */
  readonly seen: IndexExpr;
  readonly biases: readonly Term[];
  /** Each hides by itself: what two of them hide is hidden deeper than what one does. */
  readonly masks: readonly Conjunction[];
  /** What positions tell is taken out of a mask that is finite, which is this: rows that see nothing are the mean of the values. */
  readonly averages: Conjunction | undefined;
  /** Rows that see nothing are zero. */
  readonly clears: boolean;
  /** All this holds where every row sees a key of these: what a finite mask hides may count in one that does not. */
  readonly where?: Visible;
}

/** Keys that masks let through and no bias hides. */
export interface Visible {
  /** Of keys alone, the same for all queries. */
  readonly parts: readonly Part[];
  readonly biases: readonly Term[];
  /** Later keys are hidden besides. */
  readonly causal: Counted | undefined;
}

/** Part of a mask, and where its axes are. */
export interface Part {
  readonly value: Value;
  readonly groups: Groups;
  readonly axes: PairAxes | undefined;
}

/** Masks of one strength: where several hide a key, it is hidden no deeper than where one does. */
export interface Conjunction {
  readonly parts: readonly Part[];
  readonly fill: number;
}

const isTriangle = ({ value, axes }: Part): boolean => axes !== undefined && isTriangleOf(value, axes);

/**
 * Whether `attention` may hide later keys by itself. It hides them deeper than any mask, which shows in rows that see
 * nothing: masks that are finite weigh all their keys alike.
 */
function hidesLater({ masks, triangles }: Written, roles: Roles): boolean {
  const others = masks.flatMap(({ parts }) => parts.filter((part) => !isTriangle(part)));
  return (
    others.length === 0 ||
    (masks.every(({ fill }) => fill === Number.NEGATIVE_INFINITY) &&
      !triangles.some(({ value }) => isFiniteBias(value))) ||
    allSeeThemselves(others, roles)
  );
}

/** Whether positions tell that every query sees the key at its own place. */
function allSeeThemselves(parts: readonly Part[], roles: Roles): boolean {
  const formulas = parts.map((part) => liftedPart(part, roles));
  if (!formulas.every((formula) => formula !== undefined)) return false;
  const [queries] = roles.query.map((label) => roles.sizes.get(label)!);
  return seesItself({ expr: conjunction(formulas), tables: [] }, queries!, roles.sizes.get(roles.key)!);
}

/**
 * The mask under which rows that see nothing weigh all keys alike, and which positions tell in part: there is one
 * conjunction, so deep that it swallows scores, and what else is in it hides keys from all queries alike.
 */
function averaged(masks: readonly Conjunction[], roles: Roles): Conjunction | undefined {
  const [mask, ...more] = masks;
  if (!mask || more.length > 0 || !(mask.fill <= swallowed) || mask.fill === Number.NEGATIVE_INFINITY) return undefined;
  const others = mask.parts.filter((part) => !isTold(part, roles));
  return others.length < mask.parts.length && others.every(hidesFromAll) ? mask : undefined;
}

/** A mask of keys, the same for every query. */
const hidesFromAll = ({ value, axes }: Pick<Part, "value" | "axes">): boolean =>
  axes !== undefined && (value.type.shape.at(-1 - axes.query) ?? 1) === 1;

/** What tells that every row sees a key: masks and biases of keys alone, perhaps under a causal mask; undefined for others. */
function visible(masks: readonly Conjunction[], deep: readonly Term[], roles: Roles): Visible | undefined {
  const all = masks.flatMap(({ parts }) => parts);
  const counted = (part: Part): Counted | undefined =>
    isTriangle(part) ? "first" : liftedPart(part, roles) === causalAmongLast ? "last" : undefined;
  const parts = all.filter((part) => !counted(part));
  const [causal, ...others] = new Set(all.flatMap((part) => counted(part) ?? []));
  const ofKeys = [...parts, ...deep.map(({ value, groups }) => ({ value, axes: pairAxes(groups, roles) }))];
  const isKnown = ofKeys.length > 0 && ofKeys.every(hidesFromAll) && others.length === 0;
  return isKnown ? { parts, biases: deep, causal } : undefined;
}

/**
 * The formula of a mask that positions tell, where queries and keys are the same tokens, or the queries the last of them
 * and the mask counts them so.
 */
function liftedPart({ value, axes }: Part, { query, key, sizes }: Roles): IndexExpr | undefined {
  return axes && toldBy(value, axes, sizes.get(query[0]!)!, sizes.get(key)!);
}

/** Whether positions tell a mask. */
const isTold = (part: Part, roles: Roles): boolean => isTriangle(part) || liftedPart(part, roles) !== undefined;

/** Masks less some of their parts. */
function without(masks: readonly Conjunction[], leaves: (part: Part) => boolean): readonly Conjunction[] {
  const rest = masks.map(({ parts, fill }) => ({ fill, parts: parts.filter((part) => !leaves(part)) }));
  return rest.filter(({ parts }) => parts.length > 0);
}

/** The side of the scores a factor can go to instead: it does not vary along the other, nor between heads that share keys. */
function sideOf({ step, groups }: Placed<Extract<Step, { kind: "factor" }>>, roles: Roles): Factor["side"] | undefined {
  const missing = groups.length - step.value.type.shape.length;
  const varies = (label: string): boolean => {
    const axis = groups.findIndex((group) => group.includes(label));
    return axis >= missing && step.value.type.shape[axis - missing] !== 1;
  };
  if (!varies(roles.key)) return "query";
  return [...roles.query, ...roles.group].some(varies) ? undefined : "key";
}

/** The steps nearest the product that only scale it. */
function linearPart(steps: readonly Placed[], roles: Roles) {
  const factors: Factor[] = [];
  let linear = 1;
  let from = steps.length;
  for (; from > 0; from--) {
    const { step, groups } = steps[from - 1]!;
    if (step.kind === "scale") linear *= step.factor;
    else if (step.kind === "factor") {
      const side = sideOf({ step, groups }, roles);
      if (!side) break;
      factors.push({ step, groups, side });
    } else if (step.kind !== "move") break;
  }
  return { linear, factors, above: steps.slice(0, from) };
}

/** Reads the steps between product and softmax as what an attention does to its scores. */
export function collect(candidate: Candidate, b: Build, withWeights: boolean): Collected | Miss {
  const { path, groups, roles } = candidate;
  // Steps are nearest the softmax first; groups begin with those of the result of the first.
  const steps = path.steps.map((step, i) => ({ step, groups: groups[i + 1]! }));
  const { linear, factors, above } = linearPart(steps, roles);
  const top = above.findIndex(({ step }) => step.kind === "function" || step.kind === "factor");
  const middle = top < 0 ? [] : above.slice(top).reverse();
  const hidden = middle.find(({ step }) => step.kind === "mask");
  if (hidden) return { depth: 6, reason: maskedAhead, at: hidden.step.node.results[0]! };
  const outer = hiding(top < 0 ? above : above.slice(0, top), candidate, b, withWeights);
  return "reason" in outer ? outer : { linear, factors, middle, ...outer };
}

/** What steps add and hide, as they are written. */
interface Written {
  readonly scale: number;
  readonly biases: readonly Term[];
  /** Causal masks that are added. */
  readonly triangles: readonly Term[];
  readonly masks: readonly Conjunction[];
  /** Masks that replace scores. */
  readonly replacing: readonly Part[];
  /** How many biases are added to what they put there. */
  readonly addedToReplaced: number;
  /** How the masks are not what is written in rows that see nothing. */
  readonly unlike: string | undefined;
}

function written(steps: readonly Placed[], roles: Roles, b: Build): Written | Miss {
  let scale = 1;
  const biases: Term[] = [];
  const triangles: Term[] = [];
  const hiders: (Hider & Conjunction)[] = [];
  let addedToReplaced = 0;
  // Going down, what is above multiplies what is below.
  for (const { step, groups } of steps) {
    const axes = pairAxes(groups, roles);
    const partsOf = (mask: Value) => conjuncts(mask).map((value) => ({ value, groups, axes }));
    if (step.kind === "scale") scale *= step.factor;
    else if (step.kind === "mask") {
      if (!(scale > 0)) return refused(`the scale ${scale} above a mask is not positive`, step.node.results[0]!);
      const fill = step.fill * scale;
      if (fill !== Number.NEGATIVE_INFINITY) addedToReplaced = biases.length;
      hiders.push({ parts: partsOf(step.keeps ? step.mask : b.not(step.mask)), fill, replaces: true });
    } else if (step.kind === "bias") {
      const term = { value: step.value, groups, factor: step.negate ? -scale : scale };
      const mask = term.factor > 0 ? maskOfBias(step.value, isMasked) : undefined;
      if (mask)
        hiders.push({
          parts: partsOf(mask.keeps ? mask.mask : b.not(mask.mask)),
          fill: mask.fill * scale,
          replaces: false,
        });
      else if (axes && term.factor > 0 && isCausalBias(step.value, axes, isMasked)) triangles.push(term);
      else biases.push(term);
    }
  }
  return { scale, biases, triangles, addedToReplaced, ...together(hiders) };
}

/** The masks that several are together: one, or those that replace scores and each that is added. */
function together(hiders: readonly (Hider & Conjunction)[]): Pick<Written, "masks" | "replacing" | "unlike"> {
  const replacing = hiders.filter(({ replaces }) => replaces);
  const partsOf = (some: readonly Conjunction[]) => some.flatMap(({ parts }) => parts);
  if (replacing.length > 0 && keepsDepths(hiders, "merged"))
    return {
      masks: [{ parts: partsOf(hiders), fill: fillOfAll(hiders) }],
      replacing: partsOf(hiders),
      unlike: undefined,
    };
  const added = hiders.filter(({ replaces }) => !replaces).map(({ parts, fill }) => ({ parts, fill: fillOf(fill) }));
  const masks = replacing.length > 0 ? [...added, { parts: partsOf(replacing), fill: fillOfAll(replacing) }] : added;
  const unlike = keepsDepths(hiders, "added") ? undefined : hidesUnlike(hiders.map(({ fill }) => fill));
  return { masks, replacing: partsOf(replacing), unlike };
}

/** What the steps above everything else add and hide. */
function hiding(
  steps: readonly Placed[],
  candidate: Candidate,
  b: Build,
  withWeights: boolean,
): Omit<Collected, "linear" | "factors" | "middle"> | Miss {
  const { roles } = candidate;
  const found = written(steps, roles, b);
  if ("reason" in found) return found;
  const { scale, biases, triangles, masks } = found;
  const unseen = inUnseen(found, candidate, withWeights);
  if ("reason" in unseen) return unseen;
  const { hides, clears, averages, where } = unseen;
  const all = masks.flatMap(({ parts }) => parts);
  if (!hides && !averages)
    return { scale, causal: false, seen: everything, biases: [...biases, ...triangles], masks, averages, clears };
  const causal = triangles.length > 0 || all.some(isTriangle);
  if (withWeights)
    return { scale, causal, seen: everything, biases, masks: without(masks, isTriangle), averages, clears };
  const lifted = all.filter((part) => !isTriangle(part)).flatMap((part) => liftedPart(part, roles) ?? []);
  return {
    scale,
    causal,
    seen: conjunction(lifted),
    biases,
    masks: without(masks, (part) => isTold(part, roles)),
    averages,
    clears,
    ...(where && { where }),
  };
}

/** What rows that see nothing become. */
interface Unseen extends Pick<Collected, "clears" | "averages" | "where"> {
  /** Whether what positions tell may hide deeper than all else. */
  readonly hides: boolean;
}

function inUnseen(found: Written, candidate: Candidate, withWeights: boolean): Unseen | Miss {
  const { roles, cleared, softmax, sink } = candidate;
  const { biases, triangles, masks, addedToReplaced } = found;
  const emptied = clearsRows(candidate, masks, [...biases, ...triangles]);
  if (emptied === otherMask) return refused(emptied, softmax.results[0]!);
  // Beside what is hidden a sink has all the weight, and its value is zero.
  if (sink) return mayHide(sink) ? refused(deepSink, sink) : { hides: true, clears: true, averages: undefined };
  const deep = biases.filter(({ value }) => mayHide(value));
  const counts =
    typeof emptied === "string" ? refused(emptied, softmax.results[0]!) : countsInUnseen(found, deep, roles);
  const isSole = deep.length === 0 || !triangles.some(({ value }) => isFiniteBias(value));
  const hides = !counts && (cleared !== undefined || (isSole && hidesLater(found, roles)));
  // What is added to a replaced score still counts; what was added before is gone, and a mask that is added swallows it.
  const isSwallowed = triangles.length === 0 && addedToReplaced === 0;
  const clears = emptied === true;
  const averages = !counts && !withWeights && !clears && !hides && isSwallowed ? averaged(masks, roles) : undefined;
  const isDense = !hides && !averages && masks.some(({ parts }) => parts.some((part) => isTold(part, roles)));
  const mayEmpty = typeof emptied === "string" ? biases : deep;
  const where =
    (counts || isDense) && triangles.length === 0 && !withWeights ? visible(masks, mayEmpty, roles) : undefined;
  if (where) return { hides: true, clears: false, averages: undefined, where };
  return counts ?? { hides, clears, averages };
}

/** What would count in a row that sees nothing, and `attention` does not say. */
function countsInUnseen(found: Written, deep: readonly Term[], roles: Roles): Miss | undefined {
  const { biases, masks, replacing, addedToReplaced, unlike } = found;
  const [other, ...others] = masks.flatMap(({ parts }) => parts).filter((part) => !isTriangle(part));
  if (unlike && other && !allSeeThemselves([other, ...others], roles)) return refused(unlike, other.value);
  if (deep.length > 0 && masks.some(({ fill }) => Number.isFinite(fill))) return refused(hidesBeside, deep[0]!.value);
  const untold = replacing.filter((part) => !isTriangle(part));
  const counts = addedToReplaced > 0 && !allSeeThemselves(untold, roles);
  return counts ? refused(addedAfter, biases[0]!.value) : undefined;
}

const refused = (reason: string, at: Value): Miss => ({ depth: 6, reason, at });

/**
 * Whether rows that see nothing are zero: where what is NaN is made 0, under masks that are infinite, and where what is
 * hidden is made 0 by the very mask that hides it. Elsewhere such rows weigh their keys alike. Says why that is not known.
 */
function clearsRows(
  { guarded, cleared, groups }: Candidate,
  masks: readonly Conjunction[],
  biases: readonly Term[],
): boolean | string {
  if (cleared) {
    const hidden = masks.flatMap(({ parts }) => parts);
    const here = hidden.filter((part) => sameGroups(part.groups, groups[0]!)).map(({ value }) => value);
    const wanted = new Set(conjuncts(cleared));
    return (here.length === hidden.length && sameSets(new Set(here), wanted)) || otherMask;
  }
  if (!guarded) return false;
  const finite = masks.find(({ fill }) => fill !== Number.NEGATIVE_INFINITY);
  if (!finite) return masks.length + biases.length > 0;
  if (masks.length === 1 && biases.length === 0) return false;
  return `masks fill with ${round(finite.fill)} where others may with minus infinity: a row that sees nothing is either`;
}

const sameSets = <T>(p: ReadonlySet<T>, q: ReadonlySet<T>): boolean =>
  p.size === q.size && [...p].every((x) => q.has(x));
const sameGroups = (p: Groups, q: Groups): boolean => p.map(String).join("|") === q.map(String).join("|");

/** Where the axes of queries and keys are, counted from the last; undefined where they are merged with others. */
export function pairAxes(groups: Groups, roles: Pick<Roles, "query" | "key">): PairAxes | undefined {
  const [label] = roles.query;
  const query = groups.findIndex((group) => group.length === 1 && group[0] === label);
  const key = groups.findIndex((group) => group.length === 1 && group[0] === roles.key);
  if (query < 0 || key < 0) return undefined;
  return { query: groups.length - 1 - query, key: groups.length - 1 - key };
}
