import { describe, expect, it } from "vitest";
import { classAt, runsOf } from "../../../src/ir/index-analysis/block-structure.ts";
import { blockStructure } from "../../../src/ir/index-analysis/structure.ts";
import { classOf, dense } from "./brute.ts";
import { catalogue } from "./catalogue.ts";

const cases = [
  { n: 64, scale: 4, block: 8 },
  { n: 257, scale: 5, block: 8 },
  { n: 400, scale: 8, block: 16 },
  { n: 33, scale: 4, block: 7 },
  // Many rows of blocks: bands of all levels.
  { n: 701, scale: 6, block: 4 },
  { n: 1, scale: 1, block: 128 },
];

describe.each(cases)("blocks of $block in $n positions", ({ n, scale, block }) => {
  it.each([...catalogue(n, scale)])("%s: every class is exact", (_, mask) => {
    const lengths = { Q: n, K: n };
    const truth = dense(mask, lengths);
    const structure = blockStructure(mask, lengths, block);
    const differing: string[] = [];
    for (let i = 0; i < structure.rows; i++)
      for (let j = 0; j < structure.columns; j++) {
        const box = {
          q: [i * block, Math.min((i + 1) * block, n) - 1],
          k: [j * block, Math.min((j + 1) * block, n) - 1],
        } as const;
        const expected = classOf(truth, n, box);
        const found = classAt(structure, i, j);
        if (found !== expected) differing.push(`${i},${j}: ${found} for ${expected}`);
      }
    expect(differing).toEqual([]);
    expect(structure.unproven).toBe(0);
    const runs = Array.from({ length: structure.rows }, (_, i) => runsOf(structure, i)).flat();
    const blocks = (kind: string) => runs.reduce((sum, run) => sum + (run.class === kind ? run.end - run.start : 0), 0);
    expect({ full: structure.full, partial: structure.partial }).toEqual({
      full: blocks("full"),
      partial: blocks("partial"),
    });
    expect(structure.full + structure.partial + structure.empty).toBe(structure.rows * structure.columns);
  });
});
