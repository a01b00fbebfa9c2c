import { describe } from "vitest";
import axial from "../../models/variants/axial.ts";
import mortonNatten from "../../models/variants/morton-natten.ts";
import natten from "../../models/variants/natten.ts";
import shiftedWindow from "../../models/variants/shifted-window.ts";
import slidingTile2d from "../../models/variants/sliding-tile-2d.ts";
import slidingTile3d from "../../models/variants/sliding-tile-3d.ts";
import spatialHead from "../../models/variants/spatial-head.ts";
import temporalHead from "../../models/variants/temporal-head.ts";
import tiledNatten from "../../models/variants/tiled-natten.ts";
import visionCrossAttention from "../../models/variants/vision-cross-attention.ts";
import vsaBlockMap from "../../models/variants/vsa-block-map.ts";
import vsaPadding from "../../models/variants/vsa-padding.ts";
import vsaTopK from "../../models/variants/vsa-top-k.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";
import { named, reader } from "./support/reference.ts";
import { batch, checkVariant, heads, type Variant } from "./support/variant.ts";

/** Masks of pictures and videos, each against places enumerated one by one. */

type Place = readonly number[];

/** Every place of a canvas, in reading order. */
function places(sizes: readonly number[]): readonly Place[] {
  return sizes.reduce<Place[]>(
    (all, size) => all.flatMap((at) => Array.from({ length: size }, (_, i) => [...at, i])),
    [[]],
  );
}

/** Every place of a canvas, tile by tile. */
const tiled = (canvas: readonly number[], tile: readonly number[]): readonly Place[] =>
  places(canvas.map((size, axis) => size / tile[axis]!)).flatMap((corner) =>
    places(tile).map((at) => at.map((x, axis) => corner[axis]! * tile[axis]! + x)),
  );

/** Where a run of `kernel` places begins that has `at` in its middle, or as near as it gets within `size`. */
function firstOf(at: number, kernel: number, size: number): number {
  let first = at - Math.floor(kernel / 2);
  while (first + kernel > size) first--;
  while (first < 0) first++;
  return first;
}

const inRun = (x: number, first: number, length: number) => x >= first && x < first + length;

/** Neighbourhood attention over places [y, x] in some order. */
const neighbours = (order: readonly Place[], canvas: Place, kernel: Place) => () => ({
  mask: (_b: number, _h: number, q: number, k: number) =>
    canvas.every((size, axis) =>
      inRun(order[k]![axis]!, firstOf(order[q]![axis]!, kernel[axis]!, size), kernel[axis]!),
    ),
});

/** Bits of y and x in turns, the last bit being x's. */
const zOrder = (side: number): readonly Place[] => {
  const bits = Math.log2(side);
  const order: Place[] = [];
  for (const [y, x] of places([side, side]) as readonly [number, number][]) {
    const interleaved = Array.from(
      { length: bits },
      (_, i) => `${(y >> (bits - 1 - i)) & 1}${(x >> (bits - 1 - i)) & 1}`,
    );
    order[Number.parseInt(interleaved.join(""), 2)] = [y, x];
  }
  return order;
};

const nattenOn = (width: number, height: number, kernelWidth: number, kernelHeight: number): Variant => ({
  model: natten,
  settings: { width, height, kernelWidth, kernelHeight },
  lengths: [[width * height, width * height]],
  written: neighbours(places([height, width]), [height, width], [kernelHeight, kernelWidth]),
});

const tiledOn = (width: number, height: number, kernel: number, tileWidth: number, tileHeight: number): Variant => ({
  model: tiledNatten,
  settings: { width, height, kernelWidth: kernel, kernelHeight: kernel, tileWidth, tileHeight },
  lengths: [[width * height, width * height]],
  written: neighbours(tiled([height, width], [tileHeight, tileWidth]), [height, width], [kernel, kernel]),
});

const mortonOn = (side: number, kernel: number): Variant => ({
  model: mortonNatten,
  settings: { side, kernel },
  lengths: [[side * side, side * side]],
  written: neighbours(zOrder(side), [side, side], [kernel, kernel]),
});

/** Sliding tiles: whole tiles seen, places listed tile by tile, text behind them. */
function tilesOn(model: Variant["model"], canvas: Place, kernel: Place, tile: Place, text: number): Variant {
  const order = tiled(canvas, tile).map((at) => at.map((x, axis) => Math.floor(x / tile[axis]!)));
  const length = order.length + text;
  return {
    model,
    settings: { canvas, kernel, tile, text },
    lengths: [
      [length, length],
      [Math.ceil(length / 2), Math.ceil(length / 2)],
    ],
    written: () => ({
      mask: (_b, _h, q, k) => {
        const [query, key] = [order[q], order[k]];
        if (!query || !key) return true;
        return canvas.every((size, axis) => {
          const width = kernel[axis]! / tile[axis]!;
          return inRun(key[axis]!, firstOf(query[axis]!, width, size / tile[axis]!), width);
        });
      },
    }),
  };
}

/** Swin's windows: the canvas rolled up and left, cut into squares; what rolled round belongs to a region of its own. */
function swin(width: number, height: number, size: number, shift: number): Variant {
  const roll = (length: number) => Array.from({ length }, (_, i) => (i < shift ? length - shift + i : i - shift));
  const [across, down] = [roll(width), roll(height)];
  const region = (at: number, length: number) => {
    if (at < length - size) return Math.floor(at / size);
    return at < length - shift ? "last, near" : "last, far";
  };
  const order = places([height, width]).map(([y, x]) => [down[y!]!, across[x!]!] as const);
  return {
    model: shiftedWindow,
    settings: { width, height, size, shift },
    lengths: [[width * height, width * height]],
    written: (feeds) => {
      const bias = reader(named(feeds, "relative_position_bias_table"));
      return {
        mask: (_b, _h, q, k) =>
          [height, width].every(
            (length, axis) => region(order[q]![axis]!, length) === region(order[k]![axis]!, length),
          ),
        score: (s, _b, h, q, k) => {
          const [dy, dx] = [order[q]![0] - order[k]![0], order[q]![1] - order[k]![1]];
          return s + bias((dy + size - 1) * (2 * size - 1) + dx + size - 1, h);
        },
      };
    },
  };
}

const topOf = (tiles: number) =>
  Array.from({ length: batch * heads * tiles }, (_, row) =>
    Array.from({ length: 3 }, (_, i) => (row * 5 + i * i) % Math.max(1, tiles)),
  );

const variants: Readonly<Record<string, Variant>> = {
  "natten, one pixel": nattenOn(1, 1, 1, 1),
  "natten, wide": nattenOn(5, 3, 3, 3),
  "natten, tall": nattenOn(3, 11, 3, 5),
  "natten, 13 × 5": nattenOn(13, 5, 5, 3),
  "natten, square": nattenOn(16, 16, 7, 7),
  "tiled-natten": tiledOn(12, 12, 5, 3, 4),
  "tiled-natten, wide": tiledOn(15, 4, 3, 5, 2),
  "morton-natten": mortonOn(8, 3),
  "morton-natten, larger": mortonOn(16, 5),
  "sliding-tile-2d": tilesOn(slidingTile2d, [8, 12], [6, 6], [2, 2], 0),
  "sliding-tile-2d, an even kernel, with text": tilesOn(slidingTile2d, [9, 10], [3, 4], [3, 2], 7),
  "sliding-tile-3d": tilesOn(slidingTile3d, [4, 6, 6], [2, 6, 2], [2, 2, 2], 0),
  "sliding-tile-3d, with text": tilesOn(slidingTile3d, [3, 4, 6], [3, 4, 6], [1, 2, 2], 5),

  axial: {
    model: axial,
    settings: { width: 7 },
    written: () => {
      const order = places([40, 7]);
      return { mask: (_b, _h, q, k) => [0, 1].some((axis) => order[q]![axis] === order[k]![axis]) };
    },
  },
  "shifted-window": swin(12, 9, 3, 1),
  "shifted-window, tall": swin(4, 12, 4, 2),
  "shifted-window, not shifted": swin(6, 6, 3, 0),

  "spatial-head": {
    model: spatialHead,
    settings: { prompt: 3, perFrame: 14, width: 2, round: 8 },
    written: () => ({ mask: (_b, _h, q, k) => q < 3 || k < 3 || (k > q - 24 && k < q + 24) }),
  },
  "spatial-head with a sink": {
    model: spatialHead,
    settings: { prompt: 2, perFrame: 5, width: 1, sink: true, round: 1 },
    written: () => ({ mask: (_b, _h, q, k) => q < 2 || k < 7 || (k > q - 5 && k < q + 5) }),
  },
  "temporal-head": {
    model: temporalHead,
    settings: { prompt: 3, frames: 6, perFrame: 14, width: 2 },
    lengths: [1, 15, 17, 33, 65, 87].map((n) => [n, n]),
    written: () => {
      const frames = places([6, 14]);
      return {
        mask: (_b, _h, q, k) => {
          const [query, key] = [frames[q - 3], frames[k - 3]];
          return !query || !key || Math.abs(query[1]! - key[1]!) <= 3;
        },
      };
    },
  },
  "vision-cross-attention": {
    model: visionCrossAttention,
    settings: { perImage: 5, from: [0, 4, 20], to: [9, 20, 40] },
    lengths: [1, 15, 17, 33, 65, 257].map((n) => [n, 15]),
    written: () => ({
      mask: (_b, _h, q, k) => {
        const images = [
          q < 9 && [0, 1, 2, 3, 4],
          q >= 4 && q < 20 && [5, 6, 7, 8, 9],
          q >= 20 && q < 40 && [10, 11, 12, 13, 14],
        ];
        return images.flat().includes(k);
      },
    }),
  },

  "vsa-top-k": {
    model: vsaTopK,
    settings: { tile: 8, top: 3 },
    inputs: ({ K }) => {
      const tiles = Math.ceil(K / 8);
      return { chosen: fromNumbers("i64", [batch, heads, tiles, 3], topOf(tiles).flat()) };
    },
    written: (feeds) => {
      const chosen = reader(named(feeds, "chosen"));
      return {
        mask: (b, h, q, k) => {
          const at = (i: number) => chosen(b, h, (q - (q % 8)) / 8, i) * 8;
          return [at(0), at(1), at(2)].some((first) => inRun(k, first, 8));
        },
      };
    },
  },
  "vsa-block-map": {
    model: vsaBlockMap,
    settings: { tile: 4 },
    written: (feeds) => {
      const map = reader(named(feeds, "map"));
      return { mask: (b, h, q, k) => map(b, h, q >> 2, k >> 2) === 1 };
    },
  },
  "vsa-padding": {
    model: vsaPadding,
    settings: { tile: 6 },
    inputs: ({ K }) => {
      const tiles = Math.ceil(K / 6);
      return {
        sizes: fromNumbers(
          "i64",
          [tiles],
          Array.from({ length: tiles }, (_, i) => ((i * 5) % 6) + 1),
        ),
      };
    },
    written: (feeds, { K }) => {
      const sizes = reader(named(feeds, "sizes"));
      const real = Array.from({ length: Math.ceil(K / 6) }, (_, tile) =>
        Array.from({ length: sizes(tile) }, (_, i) => tile * 6 + i),
      ).flat();
      return { mask: (_b, _h, _q, k) => real.includes(k) };
    },
  },
};

describe.each(Object.entries(variants))("%s", (_, variant) => checkVariant(variant));
