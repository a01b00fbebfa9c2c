import { attr } from "../attrs.ts";
import { defineOp } from "../op-def.ts";
import { sameType, showType } from "../types.ts";

export const control = {
  if: defineOp({
    name: "if",
    doc: "Runs one of two graphs, chosen by a condition. Operands after the condition are the inputs of both.",
    operands: ["condition", "...captures"],
    attrs: {
      whenTrue: attr("graph", "runs where the condition holds"),
      whenFalse: attr("graph", "runs where it does not"),
    },
    traits: [],
    constraints: {
      C1: "the condition is a rank-0 bool",
      C2: "both graphs take the captures",
      C3: "both graphs give results of the same types",
    },
    infer: ({ types, attrs, require }) => {
      const [condition, ...captures] = types;
      require(condition!.dtype === "bool" && condition!.shape.length === 0, "C1", `it is ${showType(condition!)}`);
      for (const graph of [attrs.whenTrue, attrs.whenFalse]) {
        const fits = graph.inputs.length === captures.length;
        require(fits &&
          graph.inputs.every((input, i) =>
            sameType(input.type, captures[i]!),
          ), "C2", `@${graph.name} takes ${graph.inputs.map(({ type }) => showType(type)).join(", ")}`);
      }
      const results = attrs.whenTrue.outputs.map(({ value }) => value.type);
      const others = attrs.whenFalse.outputs.map(({ value }) => value.type);
      const same = results.length === others.length && results.every((type, i) => sameType(type, others[i]!));
      require(same, "C3", `${results.map(showType).join(", ")} against ${others.map(showType).join(", ")}`);
      return results;
    },
    evaluate: ([condition, ...captures], { attrs, call }) =>
      call(condition!.data[0] !== 0 ? attrs.whenTrue : attrs.whenFalse, captures),
  }),
};
