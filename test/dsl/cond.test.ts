import { describe, expect, test } from "vitest";
import {
  cond,
  constant,
  greater,
  input,
  type Model,
  model,
  op,
  opResults,
  param,
  rope,
  sum,
  type Tensor,
} from "../../src/index.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import { nodesOf } from "../../src/ir/graph.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";
import { verifyGraph } from "../../src/ir/verify.ts";

const x = (...values: number[]) => new Map([["x", fromNumbers("f32", [values.length], values)]]);
const weights = { read: () => fromNumbers("f32", [2], [10, 20]) };

describe("cond", () => {
  const declared = model("m", () => {
    const x = input("x", "f32", [2]);
    const before = x.mul(2);
    const w = param("w", [2]);
    return cond(
      greater(sum(x, { axes: 0 }), 0),
      () => ({ y: before.add(w), z: x }),
      () => ({ z: x.neg(), y: before.sub(x.exp()) }),
    );
  });
  test.each([
    [
      [1, 2],
      [12, 24],
      [1, 2],
    ],
    [
      [-1, 0],
      [-2 - Math.exp(-1), -1],
      [1, 0],
    ],
  ])("x = %j", (given, y, z) => {
    const { graph } = declared.build();
    verifyGraph(graph);
    const out = evaluateGraph(graph, x(...given), { weights });
    expect([...out.get("y")!.data]).toEqual(y.map((value) => expect.closeTo(value, 6)));
    expect([...out.get("z")!.data]).toEqual(z.map((value) => expect.closeTo(value, 6)));
  });
  test("what is declared in a branch is computed there; what stands before it, before", () => {
    const ops = nodesOf(declared.build().graph).map(({ op }) => op);
    expect(ops).toContain("mul");
    expect(ops).not.toContain("exp");
  });
  test("branches within branches, and one tensor", () => {
    const nested = model("nested", () => {
      const x = input("x", "f32", [2]);
      const total = sum(x, { axes: 0 });
      const y = cond(
        greater(total, 0),
        () =>
          cond(
            greater(total, 10),
            () => x.mul(100),
            () => x.add(1),
          ),
        () => x.abs(),
      );
      return { y };
    });
    const { graph } = nested.build();
    verifyGraph(graph);
    const at = (...values: number[]) => [...evaluateGraph(graph, x(...values), { weights }).get("y")!.data];
    expect([at(6, 6), at(1, 1), at(-1, -2)]).toEqual([
      [600, 600],
      [2, 2],
      [1, 2],
    ]);
  });
});

const refusal = (body: (x: Tensor) => Tensor): string => {
  const declared: Model = model("m", () => ({ y: body(input("x", "f32", [2, 4])) }));
  try {
    declared.build();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return "none";
};

const yes = () => constant(true, "bool");

test.each<[string, string, (x: Tensor) => Tensor]>([
  [
    "QKV109",
    "a condition with axes",
    (x) =>
      cond(
        greater(x, 0),
        () => x,
        () => x,
      ),
  ],
  [
    "QKV109",
    "branches of two types",
    (x) =>
      cond(
        yes(),
        () => x,
        () => x.cast("f64"),
      ),
  ],
  [
    "QKV107",
    "branches of two shapes",
    (x) =>
      cond(
        yes(),
        () => x,
        () => sum(x, { axes: 0 }),
      ),
  ],
  ["QKV106", "no function", (x) => cond(yes(), x as never, () => x)],
  [
    "QKV106",
    "nothing answered",
    (x) =>
      cond(
        yes(),
        () => undefined as never,
        () => x,
      ),
  ],
  [
    "QKV106",
    "other names",
    (x) =>
      cond(
        yes(),
        () => ({ a: x }),
        () => ({ b: x }) as never,
      ).a,
  ],
  [
    "QKV106",
    "more names",
    (x) =>
      cond(
        yes(),
        () => ({ a: x }),
        () => ({ a: x, b: x }),
      ).a,
  ],
  [
    "QKV120",
    "an unknown branch",
    (x) =>
      cond(
        yes(),
        () => x,
        () => x,
        { expected: "both" as never },
      ),
  ],
  ["QKV120", "an op there is not", (x) => op("constructor" as never, [x])],
  ["QKV120", "a graph as attribute", (x) => op("scan" as never, [x], { body: {} } as never)],
  ["QKV106", "operands that are no list", (x) => op("relu", x as never)],
  ["QKV210", "operands that do not fit", (x) => op("biasGelu", [x, x])],
  ["QKV212", "an attribute there is not", (x) => op("relu", [x], { alpha: 1 } as never)],
  ["QKV120", "angles and positions", (x) => rope(x, { theta: 2, angles: { cos: x, sin: x } })],
  ["QKV106", "angles that are none", (x) => rope(x, { angles: { cos: x, sin: 1 as never } })],
])("%s: %s", (code, _, body) => expect(refusal(body)).toBe(code));

test("op answers the first result, opResults all; angles turn as positions do", () => {
  const declared = model("m", () => {
    const x = input("x", "f32", [2]);
    const rows = op("reshape", [x], { shape: [1, 2] });
    const [normed, total] = opResults("skipRmsNorm", [rows, rows, param("w", [2])]) as [Tensor, Tensor];
    const quarter = { cos: constant([[0]]), sin: constant([[1]]) };
    return new Map([
      ["1", normed],
      ["0", total],
      ["turned", rope(rows, { angles: quarter })],
    ]);
  });
  const { graph } = declared.build();
  expect(graph.outputs.map(({ name }) => name)).toEqual(["1", "0", "turned"]);
  const out = evaluateGraph(graph, x(3, 4), { weights });
  expect([...out.get("0")!.data]).toEqual([6, 8]);
  expect([...out.get("turned")!.data]).toEqual([-4, 3]);
});
