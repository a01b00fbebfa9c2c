/** A mask on its way to the softmax: where it is off, it is added to scores or takes their place. */
export interface Hider {
  readonly fill: number;
  readonly replaces: boolean;
}

/**
 * What masks become: `merged`, one that hides where any does, or `added`, where those that replace scores are one and
 * each other is added.
 */
export type Form = "merged" | "added";

/**
 * Put where a mask is off, or added there. It swallows any score in every precision, so that a row that sees nothing
 * weighs its keys alike, as it does where scores are replaced; kernels clear such rows only for the very lowest number.
 */
export const swallows = Math.fround(-1e38);

/** From here on no precision tells one score from another. */
export const swallowed = -1e30;
/** What is so much deeper has no weight beside the other. */
const apart = 5e3;
/** Masks that are looked at in all their combinations. */
const most = 6;

/** Where a key is that some masks hide: what its score becomes, and whether the score itself still tells in it. */
interface Depth {
  readonly at: number;
  readonly scored: boolean;
}

/**
 * Whether rows that see nothing weigh their keys in this form as they do as written; the outermost mask is first. Keys
 * are hidden by any of the masks: by which tells how deep, and the least deep have all the weight.
 */
export function keepsDepths(hiders: readonly Hider[], form: Form): boolean {
  if (hiders.length > most) return false;
  const combinations = Array.from({ length: 2 ** hiders.length - 1 }, (_, i) =>
    hiders.map((_, bit) => ((i + 1) >> bit) % 2 === 1),
  );
  const before = combinations.map((hidden) => depthBefore(hiders, hidden));
  const after = combinations.map((hidden) => depthAfter(hiders, hidden, form));
  return before.every((depth, i) => {
    const isLost = depth.at === Number.NEGATIVE_INFINITY;
    const tells = isLost || depth.scored === after[i]!.scored;
    // Between keys that are all lost there is no answer to keep.
    const order = (other: Depth, j: number) =>
      (isLost && other.at === depth.at) || orderOf(depth, other) === orderOf(after[i]!, after[j]!);
    return tells && before.every(order);
  });
}

function depthBefore(hiders: readonly Hider[], hidden: readonly boolean[]): Depth {
  let depth: Depth = { at: 0, scored: true };
  for (const [i, { fill, replaces }] of [...hiders.entries()].reverse()) {
    if (!hidden[i]) continue;
    depth = replaces ? { at: fill, scored: false } : { at: depth.at + fill, scored: depth.scored && fill > swallowed };
  }
  return depth;
}

function depthAfter(hiders: readonly Hider[], hidden: readonly boolean[], form: Form): Depth {
  if (form === "merged") return { at: fillOfAll(hiders), scored: false };
  const replacing = hiders.filter(({ replaces }) => replaces);
  const added = hiders.filter(({ replaces }, i) => hidden[i] && !replaces);
  const isReplaced = hiders.some(({ replaces }, i) => hidden[i] && replaces);
  const fills = added.map(({ fill }) => fillOf(fill));
  const at = fills.reduce((sum, fill) => sum + fill, isReplaced ? fillOfAll(replacing) : 0);
  return { at, scored: !isReplaced && fills.every((fill) => fill > swallowed) };
}

/** What is put where any of several masks is off. */
export const fillOfAll = (hiders: readonly Hider[]): number =>
  hiders.every(({ fill }) => fill === Number.NEGATIVE_INFINITY) ? Number.NEGATIVE_INFINITY : swallows;

/** What is added for a mask: the sum of two must still be finite. */
export const fillOf = (fill: number): number => (fill === Number.NEGATIVE_INFINITY ? fill : Math.max(fill, swallows));

/** How much deeper one is, infinitely where the other has no weight beside it. */
function orderOf(x: Depth, y: Depth): number {
  if (x.at === y.at) return 0;
  const by = x.at - y.at;
  return Math.abs(by) >= apart ? Math.sign(by) * Number.POSITIVE_INFINITY : by;
}
