import { attr, optional } from "../attrs.ts";
import { defineOp } from "../op-def.ts";
import { elementCount, toFloat64 } from "../tensor.ts";

/** What comes in from outside, what is learnt, what is fixed. */
export const leaves = {
  input: defineOp({
    name: "input",
    doc: "A tensor given at run time.",
    operands: [],
    attrs: {
      name: attr("string", "name the caller feeds it by"),
      dtype: attr("dtype", "element type"),
      shape: attr("dims", "shape; symbols are bound by what is fed"),
    },
    traits: ["leaf"],
    constraints: {},
    infer: ({ attrs }) => ({ dtype: attrs.dtype, shape: attrs.shape }),
  }),
  param: defineOp({
    name: "param",
    doc: "A trained tensor, bound by name when weights are loaded.",
    operands: [],
    attrs: {
      name: attr("string", "name in the weight file"),
      dtype: attr("dtype", "element type the graph computes in"),
      shape: attr("dims", "shape; integers only"),
      init: optional("string", "how it starts without weights: normal, xavier, zeros or ones", "normal"),
    },
    traits: ["leaf"],
    constraints: { C1: "every dimension is an integer" },
    infer: ({ attrs, require }) => {
      require(attrs.shape.every((dim) => typeof dim === "number"), "C1", `"${attrs.name}" has a symbolic shape`);
      return { dtype: attrs.dtype, shape: attrs.shape };
    },
  }),
  constant: defineOp({
    name: "constant",
    doc: "A tensor known at compile time.",
    operands: [],
    attrs: { value: attr("tensor", "the tensor") },
    traits: ["leaf"],
    constraints: {},
    infer: ({ attrs }) => ({ dtype: attrs.value.dtype, shape: attrs.value.dims }),
    evaluate: (_, { attrs }) => ({ dims: attrs.value.dims, data: toFloat64(attrs.value) }),
  }),
  iota: defineOp({
    name: "iota",
    doc: "The numbers 0, 1, …, size - 1.",
    operands: [],
    attrs: { size: attr("dim", "how many"), dtype: optional("dtype", "element type", "i64") },
    traits: ["leaf"],
    constraints: {},
    infer: ({ attrs }) => ({ dtype: attrs.dtype, shape: [attrs.size] }),
    evaluate: (_, { results }) => {
      const { dims } = results[0]!;
      return { dims, data: Float64Array.from({ length: elementCount(dims) }, (_, i) => i) };
    },
  }),
  size: defineOp({
    name: "size",
    doc: "The value of a dimension, as a rank-0 i64.",
    operands: [],
    attrs: { of: attr("dim", "the dimension") },
    traits: ["leaf"],
    constraints: {},
    infer: () => ({ dtype: "i64", shape: [] }),
    evaluate: (_, { attrs, size }) => ({ dims: [], data: Float64Array.of(size(attrs.of)) }),
  }),
};
