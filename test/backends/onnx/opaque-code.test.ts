import { expect, test } from "vitest";
import { compile } from "../../../src/compile.ts";
import { Arena } from "../../../src/ir/arena.ts";
import { parseGraph } from "../../../src/ir/parse.ts";

const node = { input: ["x1"], output: ["y2"], opType: "LpNormalization" };
const right = {
  node: [node],
  name: "g",
  input: [{ name: "x1" }],
  output: [{ name: "y2" }],
  metadataProps: [{ value: "18" }],
};
const changed = (parts: object) => JSON.stringify({ ...right, ...parts });
const holding = (...nodes: readonly object[]) => ({
  node: [{ ...node, attribute: [{ name: "body", type: 5, g: { name: "b", node: nodes, output: [{ name: "r" }] } }] }],
});
const elsewhere = { dims: ["2"], dataType: 1, dataLocation: 1, externalData: [{ key: "location", value: "w" }] };

/** Writes a graph whose one node holds this code. */
async function written(code: string) {
  const arena = new Arena();
  const attrs = `code = ${JSON.stringify(code)}, dtypes = "f32", ranks = [1], dims = [2]`;
  const graph = parseGraph(`graph @g(%x: f32[2]) {\n  %y: f32[2] = opaque(%x) {${attrs}}\n  return %y\n}\n`, arena);
  return (await compile({ graph, arena })).onnx();
}

test.each([
  ["no text", "", "QKV417"],
  ["no JSON", "hello", "QKV417"],
  ["no graph", "[]", "QKV417"],
  ["text cut short", changed({}).slice(0, -3), "QKV417"],
  ["brackets without end", "[".repeat(100_000), "QKV417"],
  ["a field no graph has", changed({ frob: 1 }), "QKV417"],
  ["a version that is no number", changed({ metadataProps: [{ value: "new" }] }), "QKV417"],
  ["a version no one has seen yet", changed({ metadataProps: [{ value: "99" }] }), "QKV417"],
  ["fewer inputs than operands", changed({ input: [] }), "QKV417"],
  ["more outputs than results", changed({ output: [{ name: "y2" }, { name: "x1" }] }), "QKV417"],
  ["an input from nowhere", changed({ node: [{ ...node, input: ["z"] }] }), "QKV417"],
  ["an output from nowhere", changed({ output: [{ name: "z" }] }), "QKV417"],
  ["a graph within that reads from nowhere", changed(holding({ ...node, input: ["z"], output: ["r"] })), "QKV417"],
  ["a graph within that answers from nowhere", changed(holding()), "QKV417"],
  ["data in a file", changed({ node: [{ ...node, attribute: [{ name: "a", type: 4, t: elsewhere }] }] }), "QKV411"],
])("code of an opaque node with %s is refused", async (_title, code, diagnostic) => {
  await expect(written(code)).rejects.toMatchObject({ code: diagnostic });
});

test("code that says its operators is written", async () => {
  expect((await written(changed({}))).graph.nodes.map(({ opType }) => opType)).toEqual(["LpNormalization"]);
});
