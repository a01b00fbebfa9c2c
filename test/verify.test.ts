import { describe, expect, test } from "vitest";
import encoder from "../models/encoder.ts";
import linearAttention from "../models/linear-attention.ts";
import { checkAgainst } from "../src/check.ts";
import { compile } from "../src/compile.ts";
import { input, model } from "../src/index.ts";
import { sizesToTry, verify } from "../src/verify.ts";
import { harmless, slightlyWrong } from "./support/planted.ts";

const small = { layers: 1, d: 16, heads: 2, ffn: 24, vocab: 11 };

describe("verify", () => {
  test("a sound pipeline is equal after every pass and at every level", async () => {
    const { runs, guilty, skipped } = await verify(encoder, { settings: small });
    expect(guilty).toBeUndefined();
    expect(skipped).toEqual([]);
    expect(runs).toHaveLength(4);
    for (const { stages } of runs) {
      expect(stages.filter(({ equal }) => !equal)).toEqual([]);
      expect(stages.slice(-4).map(({ stage }) => stage)).toEqual(
        ["disabled", "basic", "extended", "all"].map((level) => `ONNX Runtime, ${level}`),
      );
    }
  });

  test("names the pass that changes results, not those before and after", async () => {
    const { guilty, runs } = await verify(linearAttention, {
      settings: { d: 8 },
      passes: ["canonicalise", harmless, slightlyWrong, "canonicalise"],
    });
    expect(guilty?.stage).toBe("slightly-wrong");
    for (const { stages } of runs) {
      expect(stages.find(({ stage }) => stage === "harmless")?.equal).toBe(true);
      expect(stages.find(({ stage }) => stage === "slightly-wrong")?.equal).toBe(false);
    }
  });

  test("fixed sizes are tried as they are", async () => {
    const fixed = model("fixed", {}, () => ({ y: input("x", "f32", [3, 5]).mul(2) }));
    expect((await verify(fixed)).runs.map(({ dims }) => dims)).toEqual([{}]);
  });

  test("sizes are one, then odd ones, different for different names", () => {
    const sizes = sizesToTry(encoder.build(small).graph);
    expect(Object.fromEntries(sizes[0]!)).toEqual({ batch: 1, seq: 1 });
    expect(new Set(sizes.map((dims) => dims.get("seq"))).size).toBe(sizes.length);
  });
});

describe("the check before a file is written", () => {
  const build = async (passes?: Parameters<typeof compile>[1]) => {
    const declared = linearAttention.build({ d: 8 });
    return [await compile(declared, { naive: true }), await compile(declared, passes)] as const;
  };

  test("passes what is right", async () => {
    const [naive, compiled] = await build();
    expect(await checkAgainst(naive, compiled)).toBe(true);
  });

  test("refuses what is wrong", async () => {
    const [naive, compiled] = await build({ passes: [slightlyWrong] });
    await expect(checkAgainst(naive, compiled)).rejects.toMatchObject({ code: "QKV506", exitCode: 4 });
  });

  test("is left out where sizes are frozen too large", async () => {
    const declared = linearAttention.build({ d: 8 });
    const dims = new Map([["seq", 40_000]]);
    const naive = await compile(declared, { naive: true, dims });
    expect(await checkAgainst(naive, await compile(declared, { dims }))).toBe(false);
  });
});
