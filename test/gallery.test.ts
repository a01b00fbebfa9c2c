import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { readEntry } from "../bench/gallery/entry.ts";
import { galleryPage } from "../bench/gallery/page.ts";
import { sizesOf } from "../bench/gallery/sizes.ts";
import { structureOf } from "../bench/gallery/structure.ts";
import alibi from "../models/variants/alibi.ts";
import softCap from "../models/variants/soft-cap.ts";
import { variantFiles } from "../scripts/docs/variants.ts";
import { symbolsIn } from "../src/feeds.ts";
import { everything } from "../src/ir/attend.ts";
import { filesUnder } from "./support/files.ts";

const folder = new URL("../docs/gallery/", import.meta.url);
const variants = await variantFiles();
const page = readFileSync(fileURLToPath(new URL("../docs/gallery.md", import.meta.url)), "utf8");

describe("docs/gallery.md", () => {
  test("lists every variant file, and no other", () => {
    const files = filesUnder(["models/variants"], ".ts").filter(({ text }) => text.includes("export default model("));
    expect(files.length).toBeGreaterThan(5);
    expect([...page.matchAll(/^### (.+)$/gm)].map(([, name]) => `models/variants/${name}.ts`).toSorted()).toEqual(
      files.map(({ path }) => path),
    );
  });

  // An entry is made by `npm run gallery -- NAME`.
  describe.each(variants)("$name", ({ name, model }) => {
    const entry = readEntry(folder, name);

    test("has its costs, passes and speed", () => {
      expect(entry, `npm run gallery -- ${name}`).toMatchObject({
        name,
        flops: { naive: expect.stringMatching(/\d/), optimised: expect.stringMatching(/\d/) },
        lowering: expect.any(Array),
        machine: expect.stringContaining("ONNX Runtime"),
        command: expect.stringContaining(`npm run gallery -- ${name}`),
      });
      expect(entry!.speed.length).toBeGreaterThan(0);
      // A variant whose outputs differ has no speed, and no place here.
      for (const { ms, times } of entry!.speed) {
        expect(times.naive! / (ms.naive / ms.optimised)).toBeCloseTo(1, 1);
        expect(times.ort! / (ms.ort / ms.optimised)).toBeCloseTo(1, 1);
      }
    });

    test("has the pictures of its mask and score", () => {
      const { graph, masks = [] } = model.build();
      expect(entry!.mask !== null).toBe(masks.some(({ formula }) => formula.expr !== everything));
      expect(Object.keys(entry!.sizes).toSorted()).toEqual(symbolsIn(graph).toSorted());
      for (const picture of [entry!.mask, entry!.score])
        if (picture) {
          expect(existsSync(new URL(picture.file, folder))).toBe(true);
          expect(page).toContain(`](gallery/${picture.file})`);
        }
    });
  });
});

describe("an entry's structure", () => {
  let made: Awaited<ReturnType<typeof structureOf>>;
  beforeAll(async () => {
    made = await structureOf("alibi", alibi.build(), new Map([["seq", 256]]));
  });

  test("has pictures of mask and score", () => {
    const { structure, pictures } = made;
    expect(pictures.map(({ file }) => file)).toEqual(["alibi.mask.png", "alibi.score.png"]);
    for (const { bytes } of pictures) expect([...bytes.subarray(1, 4)]).toEqual([..."PNG"].map((c) => c.charCodeAt(0)));
    expect(structure.mask).toMatchObject({
      formula: "k <= q",
      summary: expect.stringContaining("256 queries × 256 keys"),
    });
    // Furthest back, at the first head of eight: -255 · 2⁻¹.
    expect(structure.score!.summary).toMatch(/^what is added to the score.* from -128 \(blue\) to 0 \(white\)$/);
  });

  test("has the cost formulas of a batch of one", () => {
    const { naive, optimised } = made.structure.flops;
    expect(naive).toMatch(/seq\^2/);
    expect(naive + optimised).not.toContain("batch");
    expect(made.structure.sizes).toEqual({ batch: 1, seq: 256 });
  });

  test("draws a score that depends on nothing else as a curve", async () => {
    const { structure, pictures } = await structureOf("soft-cap", softCap.build(), new Map([["seq", 64]]));
    expect(structure.score).toMatchObject({ file: "soft-cap.score.svg" });
    expect(new TextDecoder().decode(pictures.at(-1)!.bytes)).toMatch(/^<svg xmlns[\s\S]*Math\.tanh[\s\S]*<\/svg>$/);
  });
});

test("sizes are lengths for every dimension but the batch", () => {
  expect(sizesOf("any", ["batch", "seq", "memory"]).map((sizes) => Object.fromEntries(sizes))).toEqual([
    { seq: 512, memory: 512 },
    { seq: 2048, memory: 2048 },
  ]);
  expect(sizesOf("any", ["batch"])).toEqual([new Map()]);
});

test("a variant that the gallery was not made for yet is listed with the command that makes it", () => {
  const text = galleryPage([
    { name: "new", paragraphs: ["New | attention.", "mask = k <= q * 2."], defaults: { heads: 8 }, entry: undefined },
  ]);
  expect(text).toContain("| [new](#new) | New \\| attention. |");
  expect(text).toContain("mask = k <= q \\* 2.");
  expect(text).toContain("`npm run gallery -- new`");
});
