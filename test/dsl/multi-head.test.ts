import { expect, test } from "vitest";
import { paramsOf } from "../../src/compile.ts";
import { input, type MultiHeadOptions, model, multiHeadAttention } from "../../src/index.ts";

const shapes = (options: Partial<MultiHeadOptions>) => {
  const x = () => input("x", "f32", ["batch", "seq", 12]);
  const built = model("m", () => ({ y: multiHeadAttention(x(), { heads: 4, ...options }) })).build();
  return Object.fromEntries(paramsOf(built.graph).map(({ name, dims }) => [name, dims]));
};

test("heads divide the features, or have a width of their own", () => {
  expect(shapes({ biases: false })).toEqual({
    "q_proj.weight": [12, 12],
    "k_proj.weight": [12, 12],
    "v_proj.weight": [12, 12],
    "o_proj.weight": [12, 12],
  });
  expect(shapes({ biases: false, headWidth: 5, kvHeads: 2 })).toEqual({
    "q_proj.weight": [20, 12],
    "k_proj.weight": [10, 12],
    "v_proj.weight": [10, 12],
    "o_proj.weight": [12, 20],
  });
});

test("projections have biases but for those that are said to have none", () => {
  expect(Object.keys(shapes({ name: "a", names: { o: "out" }, biases: { k: false } })).sort()).toEqual([
    "a.k_proj.weight",
    "a.out.bias",
    "a.out.weight",
    "a.q_proj.bias",
    "a.q_proj.weight",
    "a.v_proj.bias",
    "a.v_proj.weight",
  ]);
});
