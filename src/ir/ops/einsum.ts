import { defineOp } from "../op-def.ts";
import { contract } from "./contract.ts";

const { contract: meaning } = contract;

export const einsum = {
  einsum: defineOp({
    name: "einsum",
    doc: "An Einstein sum exactly as its author wrote it, operands taken left to right. Means `contract`, which may be reordered.",
    operands: ["...xs"],
    attrs: meaning.attrs,
    traits: ["composite"],
    constraints: meaning.constraints,
    infer: meaning.infer,
    cost: meaning.cost!,
    decompose: (b, operands, { spec }) => b.contract(...operands, { spec }),
  }),
};
