/** Lengths a variant is timed at; it is drawn, and its passes decide, at the last. */
const lengths = [512, 2048] as const;

/** Variants whose documents, canvas or video are as long as 4096 positions: cut off there, they are drawn whole. */
const canvases: ReadonlySet<string> = new Set([
  "block-diffusion",
  "documents",
  "morton-natten",
  "natten",
  "sliding-tile-2d",
  "sliding-tile-3d",
  "spatial-head",
  "temporal-head",
  "tiled-natten",
  "vision-cross-attention",
]);
const canvasLengths = [1024, 4096] as const;

/** The sizes of the gallery for a variant: each of its lengths for every dimension but the batch. */
export function sizesOf(name: string, symbols: readonly string[]): readonly ReadonlyMap<string, number>[] {
  const swept = symbols.filter((symbol) => symbol !== "batch");
  if (swept.length === 0) return [new Map()];
  const own = canvases.has(name) ? canvasLengths : lengths;
  return own.map((length) => new Map(swept.map((symbol) => [symbol, length])));
}
