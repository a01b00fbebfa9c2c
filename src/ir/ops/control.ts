import { attr, optional } from "../attrs.ts";
import { defineOp, type RefTensor } from "../op-def.ts";
import { elementCount } from "../tensor.ts";
import { sameType, showType, type TensorType } from "../types.ts";

export const control = {
  if: defineOp({
    name: "if",
    doc: "Runs one of two graphs, chosen by a condition. Operands after the condition are the inputs of both.",
    operands: ["condition", "...captures"],
    attrs: {
      whenTrue: attr("graph", "runs where the condition holds"),
      whenFalse: attr("graph", "runs where it does not"),
      expected: optional(
        "string",
        '"whenTrue" or "whenFalse" where one is expected to run: its cost is the node\'s',
        "",
      ),
    },
    traits: ["control", "binds"],
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
  scan: defineOp({
    name: "scan",
    doc: "A recurrence: runs a graph once for each position along axis 0 of the sequences, first to last. It takes the states, one slice of each sequence, and the captures; it answers the next states, then what is stacked along axis 0. Results are the last states, then the stacks.",
    operands: ["...xs"],
    attrs: {
      body: attr("graph", "one step: states, slices and captures in; states and slices of the stacks out"),
      states: attr("int", "how many operands are states; they come first"),
      sequences: attr("int", "how many operands after them are sequences; the others are captures"),
    },
    traits: ["control"],
    constraints: {
      C1: "there is a sequence, and sequences are equally long along axis 0",
      C2: "the body takes the states, slices of the sequences without axis 0, and the captures",
      C3: "the body answers states of the same types first",
    },
    infer: ({ types, attrs, require }) => {
      const { body, states } = attrs;
      const { sequences, given } = partsOf(types, attrs);
      const length = sequences[0]?.shape[0];
      const long = sequences.every(({ shape }) => shape.length > 0 && shape[0] === length);
      require(long && length !== undefined, "C1", `sequences are ${sequences.map(showType).join(", ") || "missing"}`);
      const fits =
        body.inputs.length === given.length && given.every((type, i) => sameType(type, body.inputs[i]!.type));
      require(fits, "C2", `@${body.name} takes ${body.inputs.map(({ type }) => showType(type)).join(", ")}`);
      const answers = body.outputs.map(({ value }) => value.type);
      const kept = types.slice(0, states).every((type, i) => answers[i] && sameType(type, answers[i]));
      require(kept, "C3", `@${body.name} answers ${answers.map(showType).join(", ")}`);
      return answers.map((type, i) => (i < states ? type : { ...type, shape: [length!, ...type.shape] }));
    },
    evaluate: (operands, { attrs, results, call }) => {
      const { body, states } = attrs;
      const sequences = operands.slice(states, states + attrs.sequences);
      const captures = operands.slice(states + attrs.sequences);
      const stacks = results.slice(states).map(({ dims }) => new Float64Array(elementCount(dims)));
      let current = operands.slice(0, states);
      for (let step = 0; step < sequences[0]!.dims[0]!; step++) {
        const answers = call(body, [...current, ...sequences.map((x) => sliceAt(x, step)), ...captures]);
        current = answers.slice(0, states);
        stacks.forEach((stack, i) => {
          const { data } = answers[states + i]!;
          stack.set(data, step * data.length);
        });
      }
      return [...current, ...stacks.map((data, i) => ({ dims: results[states + i]!.dims, data }))];
    },
    repeats: ({ types, attrs }) => types[attrs.states]!.shape[0]!,
  }),
};

interface ScanParts {
  readonly states: number;
  readonly sequences: number;
}

/** The types of a scan's sequences, and what its body must take. */
function partsOf(types: readonly TensorType[], { states, sequences: count }: ScanParts) {
  const sequences = types.slice(states, states + count);
  const slices = sequences.map(({ dtype, shape }) => ({ dtype, shape: shape.slice(1) }));
  return { sequences, given: [...types.slice(0, states), ...slices, ...types.slice(states + count)] };
}

function sliceAt({ dims, data }: RefTensor, step: number): RefTensor {
  const inner = dims.slice(1);
  const size = elementCount(inner);
  return { dims: inner, data: data.subarray(step * size, (step + 1) * size) };
}
