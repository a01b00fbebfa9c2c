import { attr } from "../attrs.ts";
import { parseSpec } from "../contraction.ts";
import { type Dim, mul, product, show, sum } from "../dim.ts";
import { isFloat, isInteger } from "../dtype.ts";
import { defineOp } from "../op-def.ts";
import { evaluateContraction } from "../reference/contract.ts";

/** The one product of the IR. */
export const contract = {
  contract: defineOp({
    name: "contract",
    doc: "Generalised Einstein sum: multiplies operands along shared labels and sums over labels the result lacks.",
    operands: ["...xs"],
    attrs: { spec: attr("string", 'labels of operands and result, as in "b q d, b k d -> b q k"') },
    traits: [],
    constraints: {
      C1: "the spec names every axis of every operand",
      C2: "operands have one numeric element type",
      C3: "a label stands for one dimension everywhere",
    },
    infer: ({ types, attrs, require }) => {
      const spec = parseSpec(attrs.spec);
      require(spec.operands.length ===
        types.length, "C1", `the spec has ${spec.operands.length} operands, ${types.length} were given`);
      const sizes = new Map<string, { readonly dim: Dim; readonly operand: number }>();
      const { dtype } = types[0]!;
      types.forEach((type, operand) => {
        const labels = spec.operands[operand]!;
        require(labels.length ===
          type.shape
            .length, "C1", `operand ${operand + 1} has ${type.shape.length} axes, "${labels.join(" ")}" names ${labels.length}`);
        require(type.dtype === dtype &&
          (isFloat(dtype) || isInteger(dtype)), "C2", `element types are ${types.map((t) => t.dtype).join(", ")}`);
        labels.forEach((label, axis) => {
          const dim = type.shape[axis]!;
          const known = sizes.get(label);
          if (!known) sizes.set(label, { dim, operand });
          else
            require(known.dim ===
              dim, "C3", `axis "${label}" is ${show(known.dim)} in operand ${known.operand + 1} and ${show(dim)} in operand ${operand + 1}`);
        });
      });
      return { dtype, shape: spec.result.map((label) => sizes.get(label)!.dim) };
    },
    evaluate: (operands, { attrs }) => evaluateContraction(parseSpec(attrs.spec), operands),
    follow: ({ attrs }, operand, axis) => {
      const { operands, result } = parseSpec(attrs.spec);
      const labels = operands[operand]!;
      const at = result.indexOf(labels[axis]!);
      return at < 0 || labels.indexOf(labels[axis]!) !== labels.lastIndexOf(labels[axis]!) ? undefined : at;
    },
    // Read left to right, as written: each step multiplies over the labels of both sides, summing out what is not needed later.
    cost: ({ types, attrs }) =>
      leftToRightCost(
        attrs.spec,
        types.map(({ shape }) => shape),
      ),
  }),
};

function leftToRightCost(text: string, shapes: readonly (readonly Dim[])[]): Dim {
  const spec = parseSpec(text);
  const sizes = new Map<string, Dim>();
  spec.operands.forEach((labels, i) => labels.forEach((label, axis) => sizes.set(label, shapes[i]![axis]!)));
  if (spec.operands.length === 1) return spec.operands[0]!.length > spec.result.length ? product(shapes[0]!) : 0;
  let held = new Set(spec.operands[0]);
  const steps: Dim[] = [];
  for (let i = 1; i < spec.operands.length; i++) {
    const joined = new Set([...held, ...spec.operands[i]!]);
    const later = new Set([...spec.result, ...spec.operands.slice(i + 1).flat()]);
    const kept = [...joined].filter((label) => later.has(label));
    const work = product([...joined].map((label) => sizes.get(label)!));
    steps.push(kept.length < joined.size ? mul(2, work) : work);
    held = new Set(kept);
  }
  return sum(steps);
}
