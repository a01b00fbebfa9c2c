import type { Value } from "../../ir/graph.ts";
import { type BlockStructure, runsOf } from "../../ir/index-analysis/block-structure.ts";
import { fromNumbers } from "../../ir/tensor.ts";
import { attendInBlocks } from "./blocks.ts";
import { type Numbers, timeOf } from "./estimate.ts";
import type { Form } from "./form.ts";
import { partOf } from "./parts.ts";
import { along, f64, listed } from "./places.ts";
import type { MaskProblem } from "./problem.ts";
import { timeOfPart } from "./split.ts";
import { openLengths, structureAt } from "./structure.ts";

const allSeen = "most blocks of queries see most blocks of keys";

/** Queries in equal blocks, each with the blocks of keys it sees, wherever these are; queries that see much apart. */
export const gathered: Form = {
  name: "mask-gathered",
  formula: "attention of scattered blocks = attention of blocks of queries, each with the blocks of keys it sees",
  refuses: [openLengths, allSeen],
  plan: (problem, { numbers }) => {
    const { queries, keys } = problem.sizes;
    if (typeof queries !== "number" || typeof keys !== "number") return openLengths;
    const at: Numbers = numbers ?? { batch: 1, queries, keys };
    const layouts = heights.flatMap((rows) => layoutsOf(problem, rows, at) ?? []);
    if (layouts.length === 0) return allSeen;
    const layout = layouts.reduce((least, one) => (one.time < least.time ? one : least));
    return { time: () => layout.time, build: () => build(problem, layout) };
  },
};

const heights = [16, 32, 64, 128];

/** Which rows of blocks are gathered, how many blocks of keys each has, and which rows take all their keys apart. */
interface Layout {
  readonly structure: BlockStructure;
  readonly slots: number;
  readonly gathered: readonly number[];
  readonly apart: readonly number[];
  readonly time: number;
}

/** The division of rows into gathered ones and ones apart that takes the least time, for one height of blocks. */
function layoutsOf(problem: MaskProblem, rows: number, numbers: Numbers): Layout | undefined {
  const structure = structureAt(problem, rows);
  if (typeof structure === "string" || structure.rows > mostRows) return undefined;
  const counts = Array.from({ length: structure.rows }, (_, i) => countOf(structure, i));
  const limits = [...new Set(counts)].filter((count) => count > 0).sort((x, y) => x - y);
  let best: Layout | undefined;
  for (const slots of limits) {
    if (slots * 2 > structure.columns) break;
    const all = [...counts.keys()];
    const [inside, apart] = [all.filter((i) => counts[i]! <= slots), all.filter((i) => counts[i]! > slots)];
    const time = timeOfLayout(problem, numbers, structure, slots, inside.length, apart);
    if (!best || time < best.time) best = { structure, slots, gathered: inside, apart, time };
  }
  return best;
}

/** Blocks are placed by a table in the file; beyond this many rows of them other forms serve better. */
const mostRows = 2048;

const countOf = (structure: BlockStructure, row: number): number =>
  runsOf(structure, row).reduce((sum, { start, end }) => sum + end - start, 0);

function timeOfLayout(
  problem: MaskProblem,
  { batch }: Numbers,
  structure: BlockStructure,
  slots: number,
  count: number,
  apart: readonly number[],
): number {
  const { blockSize } = structure;
  const { kvHeads, heads, width, valueWidth } = problem.sizes;
  const widths = Number(width) + Number(valueWidth);
  const pairs = count * blockSize * slots * blockSize;
  const moved = apart.length > 0 ? 2 * count * blockSize * Number(heads) : 0;
  const inside = timeOf(
    problem,
    { batch, queries: structure.queries, keys: structure.keys },
    {
      ...{ pairs, held: pairs, maskElements: pairs, cut: false, nodes: 16 },
      sliced: 0,
      gathered: batch * widths * (2 * count * slots * blockSize * Number(kvHeads) + moved),
    },
  );
  return partsOf(structure, apart).reduce((sum, part) => sum + timeOfPart(problem, part, batch), inside);
}

/** Rows apart as parts of the queries; neighbours together. */
function partsOf(structure: BlockStructure, apart: readonly number[]) {
  const { blockSize, queries, keys } = structure;
  const stretches: { first: number; end: number }[] = [];
  for (const row of apart) {
    const last = stretches.at(-1);
    if (last?.end === row) last.end = row + 1;
    else stretches.push({ first: row, end: row + 1 });
  }
  return stretches.map(({ first, end }) => {
    const runs = Array.from({ length: end - first }, (_, i) => runsOf(structure, first + i)).flat();
    const start = Math.min(...runs.map((run) => run.start)) * blockSize;
    const stop = Math.min(Math.max(...runs.map((run) => run.end)) * blockSize, keys);
    return {
      start: first * blockSize,
      end: Math.min(end * blockSize, queries),
      keys: [{ start, end: stop }],
      full: false,
    };
  });
}

/** Attention of the gathered rows: [batch, heads, rows · height, width], in their order. */
function attendGathered(problem: MaskProblem, { structure, slots, gathered: chosen }: Layout): Value {
  const { b, sizes } = problem;
  const { blockSize, keys } = structure;
  const count = chosen.length;
  const whole = keys % blockSize === 0;
  const table = chosen.flatMap((row) => {
    const blocks = runsOf(structure, row).flatMap(({ start, end }) =>
      Array.from({ length: end - start }, (_, i) => start + i),
    );
    return [...blocks, ...new Array<number>(slots - blocks.length).fill(-1)];
  });
  const inside = whole && !table.includes(-1);
  const firsts = b.mul(listed(b, table, [count, slots, 1]), f64(b, blockSize));
  const within = along(b, blockSize, 2, 3);
  const width = slots * blockSize;
  const places = b.reshape(b.add(firsts, within), { shape: [count, width] });
  const blocks = { rows: blockSize, count, segments: [{ width, places, inside }], run: whole ? blockSize : 1 };
  if (count === structure.rows) return attendInBlocks(problem, blocks);
  const starts = b.mul(listed(b, chosen, [count]), f64(b, blockSize));
  const q = chosenRows(problem, chosen, structure);
  return attendInBlocks({ ...problem, q, sizes: { ...sizes, queries: count * blockSize } }, { ...blocks, starts });
}

/** Queries of some rows of blocks, side by side. */
function chosenRows({ b, q, sizes }: MaskProblem, chosen: readonly number[], structure: BlockStructure): Value {
  const { blockSize, rows, queries } = structure;
  const { batch, heads, width } = sizes;
  const padded = rows * blockSize;
  const long = padded === queries ? q : b.pad(q, { axis: 2, low: 0, high: padded - queries });
  const indices = b.constant({ value: fromNumbers("i64", [chosen.length], chosen) });
  const blocks = b.gather(b.reshape(long, { shape: [batch, heads, rows, blockSize, width] }), indices, { axis: 2 });
  return b.reshape(blocks, { shape: [batch, heads, chosen.length * blockSize, width] });
}

function build(problem: MaskProblem, layout: Layout): Value {
  const { b, sizes } = problem;
  const { structure, apart } = layout;
  const inside = attendGathered(problem, layout);
  if (apart.length === 0) return inside;
  const parts = partsOf(structure, apart);
  // Queries back in their order: gathered rows and parts take turns.
  const pieces: Value[] = [];
  let [taken, from] = [0, 0];
  const upTo = (query: number) => {
    const count = query - from;
    if (count > 0) pieces.push(b.slice(inside, { axis: 2, start: taken, end: taken + count }));
    taken += Math.max(0, count);
  };
  for (const part of parts) {
    upTo(part.start);
    pieces.push(partOf(problem, part));
    from = part.end;
  }
  upTo(Number(sizes.queries));
  return b.concat(...pieces, { axis: 2 });
}
