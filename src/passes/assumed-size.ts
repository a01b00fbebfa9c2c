import { type Dim, evaluate, isStatic, symbolsOf } from "../ir/dim.ts";

/** What an unknown length is taken to be; an unknown batch is 1. */
const assumedLength = 512;

/** Whether a name is that of a batch. */
export const isBatch = (name: string): boolean => /^(b|bs|batch\w*|n_batch)$/i.test(name);

/** The size a decision takes for a dimension whose size nobody gave. */
export const assumedSize = (name: string): number => (isBatch(name) ? 1 : assumedLength);

/** Sizes beyond are not looked for. */
const largestSize = 2 ** 24;

/**
 * The sizes a decision on these dimensions takes for names whose sizes nobody gave. A name that is only counted in
 * windows, as samples of sound are, is as long as makes the windows as many as other lengths are.
 */
export function assumedSizes(dims: Iterable<Dim>, names: readonly string[]): ReadonlyMap<string, number> {
  const sizes = new Map(names.map((name) => [name, assumedSize(name)]));
  const all = [...dims];
  for (const name of names) {
    const windows = all.filter((dim) => symbolsOf(dim).includes(name));
    if (isBatch(name) || windows.length === 0 || windows.some((dim) => hasBare(dim, name))) continue;
    const known = windows.filter((dim) => symbolsOf(dim).every((each) => sizes.has(each)));
    while (sizes.get(name)! < largestSize && known.some((dim) => evaluate(dim, sizes) < assumedLength))
      sizes.set(name, 2 * sizes.get(name)!);
  }
  return sizes;
}

/** Whether a name is a factor of a dimension, not only within a division. */
const hasBare = (dim: Dim, name: string): boolean =>
  !isStatic(dim) &&
  dim.terms.some(({ factors }) => factors.some(([atom]) => atom.kind === "symbol" && atom.name === name));
