import { graphOf } from "../../src/ir/arena.ts";
import type { Pass } from "../../src/passes/pass.ts";

/** A pass with a bug: every output comes out a thousandth too large. */
export const slightlyWrong: Pass = {
  name: "slightly-wrong",
  doc: "Multiplies every output by 1.001.",
  run(graph, { arena, report }) {
    const { build } = arena;
    report.fired("slightly-wrong");
    const outputs = graph.outputs.map(
      ({ name, value }) => [name, build.mul(value, build.scalar(1.001, value.type.dtype))] as const,
    );
    return graphOf(graph.name, graph.inputs, outputs);
  },
};

/** A pass that does nothing wrong: outputs are negated twice. */
export const harmless: Pass = {
  name: "harmless",
  doc: "Negates every output twice.",
  run(graph, { arena: { build } }) {
    return graphOf(
      graph.name,
      graph.inputs,
      graph.outputs.map(({ name, value }) => [name, build.neg(build.neg(value))] as const),
    );
  },
};
