import { inflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { maskPng, maskSvg, maskText } from "../../../src/backends/report/mask-picture.ts";
import { factsLine, structureSummary } from "../../../src/backends/report/mask-words.ts";
import { maskFacts } from "../../../src/ir/index-analysis/facts.ts";
import { blockStructure } from "../../../src/ir/index-analysis/structure.ts";
import type { IndexFormula } from "../../../src/ir/index-expr/types.ts";
import { abs, and, eq, formula, k, le, lt, mod, mul, or, q, sub } from "../../ir/index-analysis/formula.ts";

const causal = formula(le(k, q));
const band = formula(and(le(abs(sub(q, k)), 300)));

describe("pictures of masks", () => {
  it("in characters", () => {
    const text = maskText(blockStructure(causal, { Q: 33, K: 33 }, 8), 40);
    expect(text.split("\n").slice(0, 5)).toEqual([
      "▒▒········",
      "██▒▒······",
      "████▒▒····",
      "██████▒▒··",
      "██████████",
    ]);
    expect(text).toContain("33 queries × 33 keys, blocks of 8: 11 full, 4 partial, 10 empty");
  });

  it("in characters, several blocks to one", () => {
    const lines = maskText(blockStructure(causal, { Q: 100_000, K: 100_000 }, 128), 40).split("\n");
    expect(lines[0]).toMatch(/^▒+·+$/u);
    expect(Math.max(...lines.slice(0, 20).map((line) => line.length))).toBeLessThanOrEqual(40);
    expect(lines[10]).toMatch(/^█+▒+·+$/u);
  });

  it("say the density", () => {
    expect(structureSummary(blockStructure(formula(le(0, q)), { Q: 65, K: 17 }, 16))).toContain("100 % of the pairs");
    expect(structureSummary(blockStructure(causal, { Q: 64, K: 64 }, 32))).toContain("25.0 % to 75.0 %");
  });

  it("as SVG, with title and legend", () => {
    const svg = maskSvg(blockStructure(band, { Q: 4096, K: 4096 }), {
      title: 'a < b & "c"',
      facts: ["reaches < 300"],
    });
    expect(svg).toContain("<title>a &lt; b &amp; &quot;c&quot;</title>");
    for (const name of ["full", "partial", "empty"]) expect(svg).toContain(`>${name}</text>`);
    for (const words of ["keys →", "← queries", "4096", "reaches &lt; 300", "of the pairs attend"])
      expect(svg).toContain(words);
    expect(svg.match(/<rect class="full"/g)!.length).toBeGreaterThan(31);
    expect(svg).not.toContain("NaN");
  });

  it.each([
    [1, 1],
    [65, 17],
    [4096, 4096],
    [100_000, 50_000],
  ])("as PNG, %i × %i", (Q, K) => {
    const png = Buffer.from(maskPng(blockStructure(band, { Q, K }), { title: "band" }));
    expect(png.subarray(1, 4).toString("latin1")).toBe("PNG");
    const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
    const at = png.indexOf("IDAT");
    const rows = inflateSync(png.subarray(at + 4, at + 4 + png.readUInt32BE(at - 4)));
    expect(rows.length).toBe(height * (width + 1));
    const colours = png.readUInt32BE(png.indexOf("PLTE") - 4) / 3;
    expect(rows.every((byte) => byte < colours)).toBe(true);
    // Text is drawn: pixels of ink above the picture.
    expect(rows.subarray(0, 40 * (width + 1)).includes(colours - 2)).toBe(true);
  });

  it("say what is known", () => {
    const line = (mask: IndexFormula) => factsLine(maskFacts(mask));
    expect(line(causal)).toBe("causal");
    expect(line(formula(and(le(k, q), le(sub(q, k), 7))))).toBe("causal · at most 7 back");
    expect(line(band)).toBe("at most 300 back, at most 300 ahead");
    // Not what the lengths say already.
    expect(factsLine(maskFacts(band), { Q: 301, K: 400 })).toBe("at most 300 ahead");
    expect(line(formula(or(le(abs(sub(q, k)), 3), lt(k, 2))))).toBe("at most 3 ahead · global columns 0–1");
    expect(line(formula(eq(mod(sub(q, k), 4), 0)))).toBe("every 4th distance");
    expect(line(formula(eq(mod(mul(q, k), 4), 0)))).toBe("nothing is known beyond the picture");
  });
});
