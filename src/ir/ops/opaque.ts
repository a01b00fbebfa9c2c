import { attr } from "../attrs.ts";
import { isDType } from "../dtype.ts";
import { defineOp } from "../op-def.ts";

export const opaque = {
  opaque: defineOp({
    name: "opaque",
    doc: "Operators of a file that the IR has no ops for, kept to the letter: no pass looks into them, and only the runtime runs them. Sizes of its results that nothing else determines are known once it has run.",
    operands: ["...xs"],
    attrs: {
      code: attr("string", "the operators, in the file's own terms"),
      dtypes: attr("string", "element types of the results, separated by blanks"),
      ranks: attr("ints", "how many axes each result has"),
      dims: attr("dims", "the dims of all results, one after the other"),
    },
    traits: ["binds"],
    constraints: { C1: "each result has an element type, and as many dims as axes" },
    infer: ({ attrs, require, need }) => {
      const dtypes = attrs.dtypes.split(" ");
      const axes = attrs.ranks.reduce((sum, rank) => sum + rank, 0);
      const fits = dtypes.length === attrs.ranks.length && attrs.ranks.every((rank) => rank >= 0);
      require(fits &&
        axes ===
          attrs.dims
            .length, "C1", `${dtypes.length} element types, ranks ${attrs.ranks.join(", ")}, ${attrs.dims.length} dims`);
      let at = 0;
      return attrs.ranks.map((rank, i) => {
        const name = dtypes[i]!;
        const dtype = need(isDType(name) ? name : undefined, "C1", `"${name}" is no element type`);
        at += rank;
        return { dtype, shape: attrs.dims.slice(at - rank, at) };
      });
    },
  }),
};
