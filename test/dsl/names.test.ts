import { describe, expect, test } from "vitest";
import type { Built } from "../../src/dsl/model.ts";
import { input, linear, model, scope, softmax, split, type Tensor } from "../../src/index.ts";
import { nodesOf } from "../../src/ir/graph.ts";

const namesOf = ({ graph, arena }: Built) =>
  nodesOf(graph).flatMap(({ op, results }) =>
    results.flatMap((value) => {
      const { name } = arena.hintOf(value);
      return name === undefined ? [] : [`${op} ${name}`];
    }),
  );

describe("values are called what the author calls them", () => {
  test("variables, properties, reassigned variables, destructuring", () => {
    const declared = model("m", () => {
      const x = input("in", "f32", ["n", 8]);
      const scores = x.mul(2).add(1);
      let y: Tensor = softmax(scores);
      y = (y as Tensor).exp()!;
      const [left, right] = split(y, 2, 1);
      return { out: left!.add(right!) };
    });
    expect(namesOf(declared.build())).toEqual([
      "input x",
      "add scores",
      "softmax y",
      "exp y_2",
      "split left",
      "split right",
      "add out",
    ]);
  });

  test("functions, and who calls them", () => {
    const head = (x: Tensor) => softmax(x);
    function tail(x: Tensor) {
      return x.exp();
    }
    const declared = model("m", () => ({ y: tail(head(input("x", "f32", ["n"]))) }));
    expect(namesOf(declared.build())).toEqual(["softmax head", "exp tail"]);
  });

  test("scopes and loops", () => {
    const declared = model("m", () => {
      let x: Tensor = input("x", "f32", ["n", 8]);
      for (let i = 0; i < 2; i++)
        x = scope(`layer.${i}`, () => {
          const hidden = linear(x, 8, { name: "fc" });
          return hidden.tanh();
        });
      for (let i = 0; i < 2; i++) x = x.exp();
      return x;
    });
    expect(namesOf(declared.build()).filter((name) => !name.startsWith("param"))).toEqual([
      "input x",
      "add layer.0.hidden",
      "tanh layer.0.x",
      "add layer.1.hidden",
      "tanh layer.1.x",
      "exp x_2",
      "exp x_3",
    ]);
  });

  test("layers without a variable are called as their parameters", () => {
    const declared = model("m", () => softmax(linear(input("x", "f32", ["n", 8]), 8, { name: "fc" })));
    expect(namesOf(declared.build())).toContain("add fc");
  });

  test("names can be left out, places stay", () => {
    const declared = model("m", () => {
      const y = input("x", "f32", ["n"]).exp();
      return { y };
    });
    const built = declared.build({}, { names: false });
    expect(namesOf(built)).toEqual([]);
    const { location } = built.arena.hintOf(built.graph.outputs[0]!.value);
    expect(location?.file).toMatch(/names\.test\.ts$/);
    expect(location?.line).toBeGreaterThan(60);
  });
});

test("a model without readable source still builds", () => {
  const body = new Function("input", 'return () => ({ y: input("x", "f32", ["n"]).exp() })')(input) as () => {
    y: Tensor;
  };
  expect(namesOf(model("m", body).build())).toEqual([]);
});
