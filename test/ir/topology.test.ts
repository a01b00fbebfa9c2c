import { expect, test } from "vitest";
import { Arena, graphOf } from "../../src/ir/arena.ts";
import type { Value } from "../../src/ir/graph.ts";
import { toDot, topology } from "../../src/ir/topology.ts";

const f32 = { dtype: "f32", shape: [3] } as const;

test("parallel edges, parts, and the longest chain", () => {
  const { build: b } = new Arena();
  const [x, y, lonely] = ["constructor", "__proto__", "10"].map((name) => b.input({ name, ...f32 }));
  const graph = graphOf(
    "g",
    [x!, y!, lonely!],
    [
      ["z", b.add(b.mul(x!, x!), b.neg(b.exp(x!)))],
      ["w", b.exp(y!)],
    ],
  );
  const { view, components, longestPath, width } = topology(graph);
  expect(view.nodeCount()).toBe(8);
  expect(view.edgeCount()).toBe(7);
  expect(components.map((part) => part.map(({ op }) => op))).toEqual([
    ["input", "mul", "exp", "neg", "add"],
    ["input", "exp"],
    ["input"],
  ]);
  expect(longestPath.map(({ op }) => op)).toEqual(["input", "exp", "neg", "add"]);
  expect(width).toBe(3);
});

test("an empty graph", () => {
  const { components, longestPath, width } = topology(graphOf("g", [], []));
  expect([components.length, longestPath.length, width]).toEqual([0, 0, 0]);
});

test("a chain of 50,000 nodes", () => {
  const { build: b } = new Arena();
  const x = b.input({ name: "x", ...f32 });
  let value: Value = x;
  for (let i = 0; i < 50_000; i++) value = i % 2 ? b.neg(value) : b.exp(value);
  const { components, longestPath } = topology(graphOf("g", [x], [["y", value]]));
  expect(components.map((part) => part.length)).toEqual([50_001]);
  expect(longestPath.length).toBe(50_001);
});

test("DOT, with names that need escapes", () => {
  const arena = new Arena();
  const x = arena.build.input({ name: 'a "b"\\\n', ...f32 });
  const y = arena.build.mul(x, arena.build.scalar(2, "f32"));
  arena.hint(y, { name: "twice" });
  expect(toDot(graphOf('g"', [x], [["out", y]]), arena)).toBe(`digraph "g\\"" {
  node [shape=box, fontname=monospace];
  "%0" [label="input\\n%a \\"b\\"\\\\\\n: f32[3]"];
  "%2" [label="mul\\n%twice: f32[3]"];
  "%0" -> "%2";
  "=0" [label="out", shape=plaintext];
  "%2" -> "=0";
}
`);
});
