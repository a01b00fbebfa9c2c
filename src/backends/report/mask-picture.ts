import type { BlockStructure } from "../../ir/index-analysis/block-structure.ts";
import { escaped } from "./escape.ts";
import { type CellClass, type Cells, cellsOf, classOf } from "./mask-cells.ts";
import { structureSummary } from "./mask-words.ts";
import { advance, drawText, lineHeight } from "./pixel-font.ts";
import { encodePng } from "./png.ts";

/** Words around a picture. */
export interface Caption {
  /** The formula, or a name. */
  readonly title: string;
  /** What is known of the mask, a line each. */
  readonly facts?: readonly string[];
}

/**
 * The structure in characters: full █, partial ▒, empty ·. Rows are queries, columns are keys; a block is two characters
 * wide where there is room for that, and several blocks share one where there is not. No more than `columns` characters wide.
 */
export function maskText(structure: BlockStructure, columns = 80): string {
  const doubled = structure.columns * 2 <= columns;
  const cells = cellsOf(structure, columns, Math.max(1, Math.floor(columns / 2)));
  const characters = { empty: "·", partial: "▒", full: "█" };
  const lines = Array.from({ length: cells.height }, (_, y) =>
    Array.from({ length: cells.width }, (_, x) => {
      const character = characters[classOf(cells, y * cells.width + x)];
      return doubled ? character.repeat(2) : character;
    }).join(""),
  );
  return [...lines, "", structureSummary(structure), "█ full  ▒ partial  · empty", ""].join("\n");
}

type Rgb = readonly [red: number, green: number, blue: number];

/** Colours that differ in lightness too, for print and for the colour-blind. */
const colours: Readonly<Record<CellClass | "ink" | "page" | "line", Rgb>> = {
  empty: [244, 241, 234],
  partial: [227, 164, 79],
  full: [31, 78, 121],
  ink: [51, 51, 51],
  page: [255, 255, 255],
  line: [150, 150, 150],
};

const mixed = (x: Rgb, y: Rgb, share: number): Rgb =>
  [0, 1, 2].map((i) => Math.round(x[i]! + (y[i]! - x[i]!) * share)) as unknown as Rgb;
const hex = (colour: Rgb) => `#${colour.map((part) => part.toString(16).padStart(2, "0")).join("")}`;

/** Steps of lightness between a cell without and one all of a class. */
const steps = 4;

/** What is little is still seen; only what is all of a class looks so. */
const stepOf = (share: number) =>
  share <= 0 ? 0 : share > 1 - 1e-9 ? steps : Math.min(steps - 1, Math.max(1, Math.round(steps * Math.sqrt(share))));

/** A number for every look of a cell. */
const lookOf = ({ full, partial }: Cells, at: number) => stepOf(full[at]!) * (steps + 1) + stepOf(partial[at]!);

const looks: readonly Rgb[] = Array.from({ length: (steps + 1) ** 2 }, (_, look) => {
  const [full, partial] = [Math.floor(look / (steps + 1)), look % (steps + 1)];
  return mixed(mixed(colours.empty, colours.partial, partial / steps), colours.full, full / steps);
});

const marks = (length: number): readonly number[] => [
  ...new Set([0, 1, 2, 3, 4].map((i) => Math.round((length * i) / 4))),
];
const short = (n: number) =>
  n >= 1e6 && n % 1e4 === 0 ? `${n / 1e6}M` : n >= 1e4 && n % 100 === 0 ? `${n / 1e3}k` : String(n);

/** The structure as an SVG document with axes and a legend; at most 256 cells a side. */
export function maskSvg(structure: BlockStructure, { title, facts = [] }: Caption): string {
  const cells = cellsOf(structure, 256, 256);
  const cell = 512 / Math.max(cells.width, cells.height);
  const [width, height] = [cells.width * cell, cells.height * cell];
  const words = [...facts, structureSummary(structure)];
  const [left, top] = [72, 64 + 16 * words.length];
  const number = (x: number) => String(Number(x.toFixed(3)));
  const across = (key: number) => (key / structure.keys) * width;
  const down = (query: number) => (query / structure.queries) * height;
  const ticks = [
    ...marks(structure.keys).map(
      (key) =>
        `<path d="M${number(across(key))} 0v-5"/><text x="${number(across(key))}" y="-8" text-anchor="middle">${short(key)}</text>`,
    ),
    ...marks(structure.queries).map(
      (query) =>
        `<path d="M0 ${number(down(query))}h-5"/><text x="-8" y="${number(down(query) + 4)}" text-anchor="end">${short(query)}</text>`,
    ),
  ];
  const entries = (["full", "partial", "empty"] as const).map(
    (name, i) =>
      `<rect class="${name}" stroke="${hex(colours.line)}" x="${i * 90}" y="${number(height + 16)}" width="14" height="14"/>` +
      `<text x="${20 + i * 90}" y="${number(height + 27)}">${name}</text>`,
  );
  const total = Math.max(left + width + 24, left + 7 * Math.max(title.length, ...words.map(({ length }) => length)));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${number(total)} ${number(top + height + 48)}" role="img">
<title>${escaped(title)}</title>
<style>text { font: 12px system-ui, sans-serif; fill: ${hex(colours.ink)} } path { stroke: ${hex(colours.line)} } .full { fill: ${hex(colours.full)} } .partial { fill: ${hex(colours.partial)} } .empty { fill: ${hex(colours.empty)} }</style>
<rect width="100%" height="100%" fill="${hex(colours.page)}"/>
<text x="${left}" y="20" style="font: bold 13px ui-monospace, monospace">${escaped(title)}</text>
${words.map((line, i) => `<text x="${left}" y="${38 + 16 * i}">${escaped(line)}</text>`).join("\n")}
<g transform="translate(${left} ${top})">
<text x="${number(width / 2)}" y="-22" text-anchor="middle">keys →</text>
<text x="${number(-height / 2)}" y="-52" transform="rotate(-90)" text-anchor="middle">← queries</text>
<rect class="empty" width="${number(width)}" height="${number(height)}"/>
<g shape-rendering="crispEdges">
${rectangles(cells, cell, number).join("\n")}
</g>
<rect width="${number(width)}" height="${number(height)}" fill="none" stroke="${hex(colours.line)}"/>
${ticks.join("\n")}
${entries.join("\n")}
</g>
</svg>
`;
}

/** Cells that look alike and lie beside one another are one rectangle. */
function rectangles(cells: Cells, cell: number, number: (x: number) => string): readonly string[] {
  const found: string[] = [];
  for (let y = 0; y < cells.height; y++)
    for (let x = 0; x < cells.width; ) {
      const at = y * cells.width + x;
      const look = lookOf(cells, at);
      let end = x + 1;
      while (end < cells.width && lookOf(cells, y * cells.width + end) === look) end++;
      const kind = classOf(cells, at);
      const fill =
        kind === "partial" && hex(looks[look]!) !== hex(colours.partial) ? ` style="fill:${hex(looks[look]!)}"` : "";
      if (kind !== "empty")
        found.push(
          `<rect class="${kind}" x="${number(x * cell)}" y="${number(y * cell)}" width="${number((end - x) * cell)}" height="${number(cell)}"${fill}/>`,
        );
      x = end;
    }
  return found;
}

/** The structure as a PNG file: with a caption about 640 pixels a side with axes and a legend, else about 512, bare. */
export function maskPng(structure: BlockStructure, caption?: Caption): Uint8Array {
  const cells = cellsOf(structure, 512, 512);
  const scale = Math.max(1, Math.floor(512 / Math.max(cells.width, cells.height)));
  const [across, down] = [cells.width * scale, cells.height * scale];
  const room = Math.max(across + 96, 608);
  const letters = Math.floor((room - 32) / letter);
  const lines = caption
    ? [caption.title, ...(caption.facts ?? []), structureSummary(structure)].flatMap((text) => wrapped(text, letters))
    : [];
  const [left, top] = caption ? [72, 60 + 2 * lineHeight * lines.length] : [0, 0];
  const [width, height] = caption ? [room, top + down + 48] : [across, down];
  const pixels = new Uint8Array(width * height).fill(page);
  const canvas: Canvas = {
    box(x0, y0, x1, y1, colour) {
      for (let y = y0; y < y1; y++) pixels.fill(colour, y * width + x0, y * width + x1);
    },
    write: (text, x, y) => drawText({ width, height, pixels }, text, { x, y, scale: 2, colour: ink }),
  };
  if (caption) {
    for (let i = 0; i < lines.length; i++) canvas.write(lines[i]!, 16, 16 + 2 * lineHeight * i);
    drawFrame(canvas, structure, { left, top, across, down });
  }
  for (let y = 0; y < cells.height; y++)
    for (let x = 0; x < cells.width; x++) {
      const [x0, y0] = [left + x * scale, top + y * scale];
      canvas.box(x0, y0, x0 + scale, y0 + scale, lookOf(cells, y * cells.width + x));
    }
  return encodePng({ width, height, pixels, palette: [...looks, colours.page, colours.ink, colours.line] });
}

/** Places of colours in the palette, behind those of cells. */
const [page, ink, line] = [looks.length, looks.length + 1, looks.length + 2];
/** Pixels a letter takes. */
const letter = 2 * advance;

interface Canvas {
  box(x0: number, y0: number, x1: number, y1: number, colour: number): void;
  write(text: string, x: number, y: number): void;
}

/** Border, axes and legend around a picture. */
function drawFrame(
  { box, write }: Canvas,
  structure: BlockStructure,
  at: { readonly left: number; readonly top: number; readonly across: number; readonly down: number },
): void {
  const { left, top, across, down } = at;
  box(left - 1, top - 1, left + across + 1, top + down + 1, line);
  for (const key of marks(structure.keys)) {
    const x = left + Math.round((key / structure.keys) * across);
    box(x, top - 6, x + 1, top - 1, line);
    write(short(key), x - (letter * short(key).length) / 2, top - 18);
  }
  for (const query of marks(structure.queries)) {
    const y = top + Math.round((query / structure.queries) * down);
    box(left - 6, y, left - 1, y + 1, line);
    write(short(query), left - 10 - letter * short(query).length, y - 5);
  }
  write("keys", left + Math.round(across / 2) - 2 * letter, top - 34);
  write("queries", 8, top - 18);
  (["full", "partial", "empty"] as const).forEach((name, i) => {
    const [x, y] = [left + 96 * i, top + down + 20];
    box(x - 1, y - 1, x + 13, y + 13, line);
    box(x, y, x + 12, y + 12, { full: steps * (steps + 1), partial: steps, empty: 0 }[name]);
    write(name, x + 18, y + 1);
  });
}

/** At most three lines of text, cut between words. */
function wrapped(text: string, letters: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > letters) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines.length <= 3 ? lines : [...lines.slice(0, 2), `${lines[2]!.slice(0, letters - 4)} ...`];
}
