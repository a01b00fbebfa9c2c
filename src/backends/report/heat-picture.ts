import { encodePng } from "./png.ts";

/** Numbers row by row; NaN where there is none. */
export interface HeatCells {
  readonly width: number;
  readonly height: number;
  readonly data: Float64Array;
}

type Colour = readonly [red: number, green: number, blue: number];

/** No number: the ground of mask pictures. */
const nothing: Colour = [244, 241, 234];
/** Below, at and above the middle: told apart by lightness in print and by the colour-blind, as in the mask pictures. */
const [low, middle, high]: readonly [Colour, Colour, Colour] = [
  [31, 78, 121],
  [255, 255, 255],
  [178, 88, 20],
];
const shades = 255;

/** Least and greatest of the finite numbers; undefined where there are none. */
export function rangeOf({ data }: HeatCells): readonly [least: number, greatest: number] | undefined {
  let [least, greatest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const x of data)
    if (Number.isFinite(x)) {
      least = Math.min(least, x);
      greatest = Math.max(greatest, x);
    }
  return least <= greatest ? [least, greatest] : undefined;
}

/**
 * The numbers as a PNG picture of about 512 pixels a side: white is zero where they have both signs, or the one nearest
 * to zero; blue is less, brown is more.
 */
export function heatPng(cells: HeatCells): Uint8Array {
  const range = rangeOf(cells) ?? [0, 0];
  const centre = Math.min(Math.max(0, range[0]), range[1]);
  const reach = Math.max(range[1] - centre, centre - range[0]) || 1;
  const shadeOf = (x: number) =>
    Number.isFinite(x) ? 1 + Math.round((((x - centre) / reach + 1) / 2) * (shades - 1)) : 0;
  const scale = Math.max(1, Math.floor(512 / Math.max(cells.width, cells.height)));
  const [width, height] = [cells.width * scale, cells.height * scale];
  const pixels = new Uint8Array(width * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      pixels[y * width + x] = shadeOf(cells.data[Math.floor(y / scale) * cells.width + Math.floor(x / scale)]!);
  return encodePng({ width, height, pixels, palette });
}

const mixed = (from: Colour, to: Colour, share: number): Colour =>
  from.map((x, i) => Math.round(x + (to[i]! - x) * share)) as unknown as Colour;

const palette: readonly Colour[] = [
  nothing,
  ...Array.from({ length: shades }, (_, i) => {
    const at = (2 * i) / (shades - 1) - 1;
    return at < 0 ? mixed(middle, low, -at) : mixed(middle, high, at);
  }),
];
