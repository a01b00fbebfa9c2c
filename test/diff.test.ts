import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { writeModel } from "../src/backends/onnx/encode.ts";
import { renderDiff } from "../src/cli/diff.ts";
import { compile } from "../src/compile.ts";
import { diffAgainst } from "../src/diff.ts";
import { Arena } from "../src/ir/arena.ts";
import { parseGraph } from "../src/ir/parse.ts";
import { fatesOf } from "../src/provenance.ts";
import { temporaryFolder } from "./cli/support/command.ts";

const folder = temporaryFolder();

const layer = (i: number, x: string) => `
  %h.${i}: f32[n, 6] = contract(%${x}, %w) {spec = "n i, i o -> n o"}
  %e.${i}: f32[n, 6] = exp(%h.${i})
  %s.${i}: f32[n, 1] = reduceSum(%e.${i}) {axes = [1], keepDims = true}
  %p.${i}: f32[n, 6] = div(%e.${i}, %s.${i})`;

const text = `graph @m(%x: f32[n, 6]) {
  %w: f32[6, 6] = param() {name = "w"}${layer(0, "x")}
  %t: f32[n, 6] = tanh(%p.0)${layer(1, "t")}
  %y: f32[n, 6] = abs(%p.1)
  return %y
}`;

const open = () => {
  const arena = new Arena();
  return { graph: parseGraph(text, arena), arena };
};

describe("what became of declared values", () => {
  test("replaced, taken in, or the same, with the pass", async () => {
    const { declared, steps, arena } = await compile(open());
    const fates = new Map(
      fatesOf(declared, steps, arena).map((fate) => [arena.hintOf(fate.value).name, fate] as const),
    );
    expect(fates.get("p.0")).toMatchObject({ by: ["fuse-attention"], became: { node: { op: "softmax" } } });
    expect(fates.get("e.1")).toMatchObject({ by: ["fuse-attention"], became: undefined });
    expect(fates.get("e.1")?.into).toBe(fates.get("p.1")?.value);
    expect(fates.get("y")).toMatchObject({ by: [], became: { node: { op: "abs" } } });
  });
});

describe("against another file", () => {
  const against = async (rename: (name: string) => string) => {
    const path = join(folder, "other.onnx");
    const { graph, ...model } = (await compile(open(), { naive: true })).onnx();
    const kept = new Set([...graph.inputs, ...graph.outputs, ...graph.initializers].map(({ name }) => name));
    const named = (name: string) => (kept.has(name) ? name : rename(name));
    const nodes = graph.nodes.map((node) => ({
      ...node,
      inputs: node.inputs.map(named),
      outputs: node.outputs.map(named),
    }));
    writeModel(path, { ...model, graph: { ...graph, nodes, valueInfo: [] } });
    return diffAgainst(await compile(open()), path, new Map([["n", 5]]));
  };
  const by = ({ values }: Awaited<ReturnType<typeof against>>, name: string) =>
    values.find(({ value }) => value === name);

  test("tensors pair by name, by the end of the name, and by their numbers", async () => {
    const same = await against((name) => name);
    expect(by(same, "e.0")).toMatchObject({ tensor: "e.0", tensorOp: "Exp", pairedBy: "name" });
    const longer = await against((name) => `/model/${name}_output_0`);
    expect(by(longer, "e.0")).toMatchObject({ tensor: "/model/e.0_output_0", pairedBy: "suffix" });
    const names = new Map<string, string>();
    const strange = await against((name) => {
      if (!names.has(name)) names.set(name, `t${names.size}`);
      return names.get(name)!;
    });
    expect(by(strange, "e.0")).toMatchObject({ tensor: names.get("e.0"), tensorOp: "Exp", pairedBy: "numbers" });
    expect(by(strange, "e.0")?.maxRelError).toBeLessThan(1e-5);
    expect(strange.notes).toEqual([]);
  });

  test("layers that repeat are one row", async () => {
    const lines = renderDiff(await against((name) => name)).split("\n");
    expect(lines.filter((line) => line.startsWith("p.*: div ×2"))).toHaveLength(1);
    expect(lines.find((line) => line.startsWith("e.*: exp ×2"))).toMatch(/part of p\.\* +fuse-attention/);
  });
});
