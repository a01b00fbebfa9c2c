/** A side of a product: the order of its axes, or none where it is a weight and can be laid out at will. */
export interface Side {
  readonly labels: readonly string[];
  readonly free: boolean;
}

/** What comes next with a result: the other side's labels, and the labels that are kept then. */
export interface NextUse {
  readonly sibling: ReadonlySet<string>;
  readonly kept: ReadonlySet<string>;
}

/**
 * The order of a product's result axes that needs the fewest transposes: of the orders in which a product of matrices
 * gives it (labels of both sides first, or either side's labels in place, where the other is repeated over them), the
 * one that asks least of both sides, and that the next product can take as it is.
 */
export function resultLayout(a: Side, b: Side, kept: ReadonlySet<string>, next: NextUse): readonly string[] {
  const candidates = [inPlace(a, b, kept), inPlace(b, a, kept), naturalLayout(a, b, kept), naturalLayout(b, a, kept)];
  let best = candidates[0]!;
  let least = Number.POSITIVE_INFINITY;
  for (const layout of candidates) {
    const moved = Math.min(transposes(a, b, layout), transposes(b, a, layout)) + (isReady(layout, next) ? 0 : 1);
    if (moved < least) [best, least] = [layout, moved];
  }
  return best;
}

/** Whether `a` is better the left side of the product that gives `layout`. */
export const leftFirst = (a: Side, b: Side, layout: readonly string[]): boolean =>
  transposes(a, b, layout) <= transposes(b, a, layout);

const naturalLayout = (a: Side, b: Side, kept: ReadonlySet<string>): readonly string[] => {
  const own = (side: Side, other: Side) => side.labels.filter((l) => kept.has(l) && !other.labels.includes(l));
  const batch = a.labels.filter((label) => kept.has(label) && b.labels.includes(label));
  return [...batch, ...own(a, b), ...own(b, a)];
};

const inPlace = (a: Side, b: Side, kept: ReadonlySet<string>): readonly string[] => [
  ...a.labels.filter((label) => kept.has(label)),
  ...b.labels.filter((label) => kept.has(label) && !a.labels.includes(label)),
];

/** How many sides must be transposed for `left · right` to give `layout`, plus one where the result must be. */
function transposes(left: Side, right: Side, layout: readonly string[]): number {
  const inLeft = new Set(left.labels);
  const inRight = new Set(right.labels);
  const summed = left.labels.filter((label) => inRight.has(label) && !layout.includes(label));
  const columns = layout.filter((label) => !inLeft.has(label));
  const rows = layout.filter((label) => inLeft.has(label));
  const batch = layout.filter((label) => inLeft.has(label) && inRight.has(label));
  // The columns come last, and no batch label follows the first label of the left side that could be a row.
  const shaped = columns.every((label, i) => layout[layout.length - columns.length + i] === label);
  let count = shaped ? 0 : 1;
  if (!left.free && !same(left.labels, [...rows, ...summed])) count++;
  if (!right.free && !same(right.labels, [...batch, ...summed, ...columns])) count++;
  return count;
}

const same = (a: readonly string[], b: readonly string[]) => a.length === b.length && a.every((x, i) => x === b[i]);

/** Whether a value can be a side of its next product as it lies: summed labels last, or between batch and own ones. */
function isReady(layout: readonly string[], { sibling, kept }: NextUse): boolean {
  const kinds = layout.map((label) => (sibling.has(label) ? (kept.has(label) ? "batch" : "summed") : "own"));
  const runs = kinds.filter((kind, i) => kind !== kinds[i - 1]);
  if (runs.filter((kind) => kind === "summed").length > 1) return false;
  if (runs.at(-1) === "summed" || !runs.includes("summed")) return true;
  return runs.join(" ") === "batch summed own" || runs.join(" ") === "summed own";
}
