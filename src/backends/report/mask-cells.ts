import { type BlockStructure, runsOf } from "../../ir/index-analysis/block-structure.ts";

/** A mask's blocks on a grid of cells: of each, what shares of its blocks are full and partial. */
export interface Cells {
  readonly width: number;
  readonly height: number;
  /** Blocks a cell is wide and high. */
  readonly wide: number;
  readonly high: number;
  readonly full: Float64Array;
  readonly partial: Float64Array;
}

/** The structure on at most `across` × `down` cells, each of as many blocks as the others but for the last. */
export function cellsOf(structure: BlockStructure, across: number, down: number): Cells {
  const wide = Math.max(1, Math.ceil(structure.columns / across));
  const high = Math.max(1, Math.ceil(structure.rows / down));
  const [width, height] = [Math.ceil(structure.columns / wide), Math.ceil(structure.rows / high)];
  const cells = {
    width,
    height,
    wide,
    high,
    full: new Float64Array(width * height),
    partial: new Float64Array(width * height),
  };
  for (let y = 0; y < height; y++) {
    const last = Math.min((y + 1) * high, structure.rows);
    for (const [row, weight] of samples(structure, y * high, last, Math.max(1, wide >> 1))) {
      for (const run of runsOf(structure, row)) {
        const into = run.class === "full" ? cells.full : cells.partial;
        for (let x = Math.floor(run.start / wide); x * wide < run.end; x++)
          into[y * width + x]! += weight * (Math.min(run.end, (x + 1) * wide) - Math.max(run.start, x * wide));
      }
    }
    for (let x = 0; x < width; x++) {
      const blocks = (last - y * high) * (Math.min((x + 1) * wide, structure.columns) - x * wide);
      cells.full[y * width + x]! /= blocks;
      cells.partial[y * width + x]! /= blocks;
    }
  }
  return cells;
}

/** Rows that stand for all of first … last - 1: of every band the ends, and some between, with how many each stands for. */
function samples({ bandOf }: BlockStructure, first: number, last: number, apart: number): readonly [number, number][] {
  const rowsOf = new Map<number, number[]>();
  for (let i = first; i < last; i++) rowsOf.set(bandOf[i]!, [...(rowsOf.get(bandOf[i]!) ?? []), i]);
  return [...rowsOf.values()].flatMap((rows) => {
    const taken = rows.filter((_, t) => t % apart === 0 || t === rows.length - 1);
    return taken.map((row): [number, number] => [row, rows.length / taken.length]);
  });
}

export type CellClass = "empty" | "partial" | "full";

/** Partial where mixed. */
export function classOf({ full, partial }: Cells, at: number): CellClass {
  if (full[at]! > 1 - 1e-9) return "full";
  return full[at] === 0 && partial[at] === 0 ? "empty" : "partial";
}
