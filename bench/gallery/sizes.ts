/** Lengths a variant is timed at; it is drawn, and its passes decide, at the last. */
const lengths = [512, 2048] as const;

/** Variants that are what they are only at other sizes than those above. */
const own: Readonly<Record<string, readonly Readonly<Record<string, number>>[]>> = {
  documents: [{ seq: 1024 }, { seq: 4096 }],
};

/** The sizes of the gallery for a variant: those of its own, or the lengths of all for each dimension that is a length. */
export function sizesOf(name: string, symbols: readonly string[]): readonly ReadonlyMap<string, number>[] {
  const given = own[name];
  if (given) return given.map((sizes) => new Map(Object.entries(sizes)));
  const swept = symbols.filter((symbol) => symbol !== "batch");
  if (swept.length === 0) return [new Map()];
  return lengths.map((length) => new Map(swept.map((symbol) => [symbol, length])));
}
