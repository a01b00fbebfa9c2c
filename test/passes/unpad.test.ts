import { beforeAll, describe, expect, it, test } from "vitest";
import minilm from "../../models/minilm.ts";
import { type OptimizationLevel, openSession } from "../../src/backends/ort/session.ts";
import { type Compiled, compile } from "../../src/compile.ts";
import { Arena, graphOf } from "../../src/ir/arena.ts";
import { everyNode } from "../../src/ir/cost.ts";
import { symbol } from "../../src/ir/dim.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import { fromNumbers, type HostTensor, toFloat64 } from "../../src/ir/tensor.ts";
import { modelBytes } from "../../src/session.ts";
import { worst } from "../backends/onnx/support/check.ts";

const levels: readonly OptimizationLevel[] = ["disabled", "basic", "extended", "all"];
const sizes = { layers: 2, d: 32, heads: 4, vocab: 50, positions: 40 };
/** Wide enough that moving tokens costs next to nothing, and so narrow that both forms stay behind `if`. */
const widths = { direct: 4096, dispatched: 512 } as const;

/** Token ids and masks, 1 where the text has an x. */
function feedsOf(...masks: readonly string[]): Map<string, HostTensor> {
  const dims = [masks.length, masks[0]!.length];
  const marks = [...masks.join("")].map((mark) => (mark === "x" ? 1 : 0));
  const ids = marks.map((_, i) => (i * 7) % sizes.vocab);
  return new Map([
    ["input_ids", fromNumbers("i64", dims, ids)],
    ["attention_mask", fromNumbers("i64", dims, marks)],
    [
      "token_type_ids",
      fromNumbers(
        "i64",
        dims,
        marks.map((_, i) => i % 2),
      ),
    ],
  ]);
}

const batches: ReadonlyMap<string, Map<string, HostTensor>> = new Map([
  ["one sequence, one token", feedsOf("x")],
  ["one sequence, one place, no token", feedsOf("-")],
  ["ragged", feedsOf("xxxxxxxxxxxxxxxxx", "xxx--------------", "x----------------")],
  ["no padding", feedsOf("xxx", "xxx", "xxx")],
  ["nothing real", feedsOf("---", "---")],
  ["an empty sequence", feedsOf("xxxxx", "-----", "xx---")],
  ["padding first, and holes", feedsOf("---xx", "x-x-x", "-x---")],
]);

const compileAt = (ffn: number, target: string, without: readonly string[] = []) =>
  compile(minilm, { target, settings: { ...sizes, ffn }, unpad: "attention_mask", without: new Set(without) });

const fired = ({ steps }: Compiled) => steps.some(({ tally }) => tally.fired.has("unpad"));

describe.each([
  ["direct", "ort-cpu"],
  ["dispatched", "ort-cpu"],
  ["dispatched", "onnx"],
] as const)("%s, %s", (kind, target) => {
  let compiled: Compiled;
  beforeAll(async () => {
    compiled = await compileAt(widths[kind], target);
  });

  it("fires", () => {
    expect(fired(compiled)).toBe(true);
    const ops = everyNode(compiled.graph).map(({ op }) => op);
    expect(ops).toContain("flatNonZero");
    expect(ops.includes("if")).toBe(kind === "dispatched");
  });

  it.each([...batches])("%s", async (_, feeds) => {
    const { weights } = compiled;
    const expected = evaluateGraph(compiled.declared, feeds, { weights });
    const unpadded = evaluateGraph(compiled.graph, feeds, { weights });
    for (const [name, { data }] of expected) expect(worst(unpadded.get(name)!.data, data)).toBeLessThan(1e-7);
    const file = modelBytes(compiled.onnx());
    for (const level of levels) {
      const session = await openSession(file, { level, threads: 1 });
      const outputs = await session.run(feeds);
      await session.close();
      for (const [name, { data }] of expected)
        expect(worst(toFloat64(outputs.get(name)!), data), `${name} at ${level}`).toBeLessThan(2e-5);
    }
  });
});

test("real positions are those of the model as it stands, others zero", async () => {
  const settings = { ...sizes, ffn: widths.dispatched };
  const plain = await compile(minilm, { settings });
  const cleared = await compileAt(widths.dispatched, "ort-cpu");
  const feeds = batches.get("ragged")!;
  const before = evaluateGraph(plain.declared, feeds, { weights: plain.weights });
  const after = evaluateGraph(cleared.declared, feeds, { weights: plain.weights });
  expect(after.get("sentence_embedding")).toEqual(before.get("sentence_embedding"));
  const [was, is] = [before, after].map((outputs) => outputs.get("last_hidden_state")!.data);
  const real = toFloat64(feeds.get("attention_mask")!);
  is!.forEach((value, i) => expect(value).toBe(real[Math.floor(i / sizes.d)] === 0 ? 0 : was![i]));
});

test("a graph that shows padding is left alone, and told why", async () => {
  const { steps } = await compile(minilm, { settings: { ...sizes, ffn: widths.direct } });
  const { tally } = steps.find(({ pass }) => pass.name === "unpad")!;
  expect([...tally.fired]).toEqual([]);
  expect([...tally.refused.get("unpad")!.keys()][0]).toMatch(/an output shows padded positions/);
});

test("not asked for", async () => {
  expect(fired(await compileAt(widths.direct, "ort-cpu", ["unpad"]))).toBe(false);
});

test.each([["input_idz"], ["x"]])("no padding mask: %s", async (name) => {
  const arena = new Arena();
  const x = arena.build.input({ name: "x", dtype: "f32", shape: [symbol("n")] });
  const graph = graphOf("g", [x], [["y", x]]);
  await expect(compile({ graph, arena }, { unpad: name })).rejects.toMatchObject({ code: "QKV511" });
});
