import { type BlockStructure, densityBounds, runsOf } from "../../ir/index-analysis/block-structure.ts";
import { encodePng } from "./png.ts";

/** A mask's blocks as cells of a picture: 0 empty, 1 partial, 2 full; several blocks in one cell are partial if mixed. */
interface Cells {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

const [empty, partial, full] = [0, 1, 2];

/** The structure on at most `across` × `down` cells, each of as many blocks as the others but for the last. */
function cellsOf(structure: BlockStructure, across: number, down: number): Cells {
  const wide = Math.max(1, Math.ceil(structure.columns / across));
  const high = Math.max(1, Math.ceil(structure.rows / down));
  const [width, height] = [Math.ceil(structure.columns / wide), Math.ceil(structure.rows / high)];
  const data = new Uint8Array(width * height);
  const filled = new Float64Array(width);
  const touched = new Uint8Array(width);
  for (let y = 0; y < height; y++) {
    filled.fill(0);
    touched.fill(0);
    const last = Math.min((y + 1) * high, structure.rows);
    for (let i = y * high; i < last; i++)
      for (const run of runsOf(structure, i))
        for (let x = Math.floor(run.start / wide); x * wide < run.end; x++) {
          touched[x] = 1;
          if (run.class === "full") filled[x]! += Math.min(run.end, (x + 1) * wide) - Math.max(run.start, x * wide);
        }
    for (let x = 0; x < width; x++) {
      const blocks = (last - y * high) * (Math.min((x + 1) * wide, structure.columns) - x * wide);
      data[y * width + x] = filled[x] === blocks ? full : touched[x] === 1 ? partial : empty;
    }
  }
  return { width, height, data };
}

const percent = (share: number) => `${(100 * share).toPrecision(3)} %`;

/** What a picture shows, in a line: blocks of each class, and bounds of the share of pairs that attend. */
export function structureSummary(structure: BlockStructure): string {
  const { least, most } = densityBounds(structure);
  const count = (n: number) => n.toLocaleString("en-US");
  const blocks = `${count(structure.full)} full, ${count(structure.partial)} partial, ${count(structure.empty)} empty`;
  const density = least === most ? percent(least) : `${percent(least)} to ${percent(most)}`;
  const size = `${structure.queries} queries × ${structure.keys} keys, blocks of ${structure.blockSize}`;
  return `${size}: ${blocks}; ${density} of the pairs attend`;
}

/**
 * The structure in characters: full █, partial ▒, empty ·. Rows are queries, columns are keys; a block is two characters
 * wide where there is room for that, and several blocks share one where there is not. No more than `columns` characters wide.
 */
export function maskText(structure: BlockStructure, columns = 80): string {
  const doubled = structure.columns * 2 <= columns;
  const cells = cellsOf(structure, columns, Math.max(1, Math.floor(columns / 2)));
  const characters = ["·", "▒", "█"].map((character) => (doubled ? character.repeat(2) : character));
  const lines = Array.from({ length: cells.height }, (_, y) =>
    Array.from(cells.data.subarray(y * cells.width, (y + 1) * cells.width), (code) => characters[code]).join(""),
  );
  return [...lines, "", structureSummary(structure), "█ full  ▒ partial  · empty", ""].join("\n");
}

/** Colours that differ in lightness too, for print and for the colour-blind. */
const colours = { empty: "#f4f1ea", partial: "#e3a44f", full: "#1f4e79", ink: "#333333" } as const;

/** The structure as an SVG document with a legend; at most 256 cells a side. */
export function maskSvg(structure: BlockStructure, title = "mask"): string {
  const cells = cellsOf(structure, 256, 256);
  const cell = 512 / Math.max(cells.width, cells.height);
  const [width, height] = [cells.width * cell, cells.height * cell];
  const [left, top, legend] = [40, 56, 48];
  const number = (x: number) => String(Number(x.toFixed(3)));
  const rectangles: string[] = [];
  for (let y = 0; y < cells.height; y++)
    for (let x = 0; x < cells.width; ) {
      const code = cells.data[y * cells.width + x]!;
      let end = x + 1;
      while (end < cells.width && cells.data[y * cells.width + end] === code) end++;
      if (code !== empty)
        rectangles.push(
          `<rect class="${code === full ? "full" : "partial"}" x="${number(x * cell)}" y="${number(y * cell)}" width="${number((end - x) * cell)}" height="${number(cell)}"/>`,
        );
      x = end;
    }
  const entries = (["full", "partial", "empty"] as const).map(
    (name, i) =>
      `<rect class="${name}" stroke="${colours.ink}" stroke-width="0.5" x="${left + i * 90}" y="${number(top + height + 20)}" width="14" height="14"/>` +
      `<text x="${left + 20 + i * 90}" y="${number(top + height + 32)}">${name}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${number(Math.max(width, 480) + 2 * left)} ${number(height + top + legend)}" role="img">
<title>${escaped(title)}</title>
<style>text { font: 12px sans-serif; fill: ${colours.ink} } .full { fill: ${colours.full} } .partial { fill: ${colours.partial} } .empty { fill: ${colours.empty} }</style>
<text x="${left}" y="18" font-weight="bold">${escaped(title)}</text>
<text x="${left}" y="34">${escaped(structureSummary(structure))}</text>
<text x="${left}" y="50">keys →</text>
<text x="-${top}" y="30" transform="rotate(-90)" text-anchor="end">queries →</text>
<g transform="translate(${left} ${top})" shape-rendering="crispEdges">
<rect class="empty" width="${number(width)}" height="${number(height)}"/>
${rectangles.join("\n")}
</g>
${entries.join("\n")}
</svg>
`;
}

const escaped = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

const rgb = (colour: string) =>
  [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16)) as unknown as readonly [number, number, number];

/** The structure as a PNG file of about 512 pixels a side; colours as in the SVG. */
export function maskPng(structure: BlockStructure): Uint8Array {
  const cells = cellsOf(structure, 512, 512);
  const scale = Math.max(1, Math.floor(512 / Math.max(cells.width, cells.height)));
  const [width, height] = [cells.width * scale, cells.height * scale];
  const pixels = new Uint8Array(width * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      pixels[y * width + x] = cells.data[Math.floor(y / scale) * cells.width + Math.floor(x / scale)]!;
  return encodePng({ width, height, pixels, palette: [colours.empty, colours.partial, colours.full].map(rgb) });
}
