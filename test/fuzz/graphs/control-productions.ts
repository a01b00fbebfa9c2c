import { type Build, graphOf } from "../../../src/ir/arena.ts";
import type { Value } from "../../../src/ir/graph.ts";
import type { Production } from "./productions.ts";

/** The next state of a recurrence: what it was is at least halved, what comes in is bounded. */
const steps: readonly ((b: Build, state: Value, x: Value, capture: Value) => Value)[] = [
  (b, state, x, capture) => b.add(b.mul(state, b.scalar(0.5, "f32")), b.mul(b.tanh(x), b.sigmoid(capture))),
  (b, state, x, capture) => b.tanh(b.add(b.add(state, x), capture)),
  (b, state, x, capture) => b.select(b.less(capture, x), b.mul(state, b.sigmoid(x)), b.sin(x)),
  (b, state, x) => b.max(state, b.mul(x, x)),
  (_, __, x) => x,
];

/** A recurrence over axis 0 with one state, one sequence and a capture; it answers the last state and all of them. */
export const scanned: Production = (m) => {
  const { b, draw, arena } = m;
  const sequence = m.some(({ dtype, shape }) => dtype === "f32" && shape.length > 0 && shape[0] !== 0);
  if (!sequence) return undefined;
  const shape = sequence.type.shape.slice(1);
  const operands = [m.of("f32", shape), sequence, m.of("f32", shape)];
  const inputs = ["state", "x", "capture"].map((name) => b.input({ name, dtype: "f32", shape }));
  const next = draw.pick(steps)(b, inputs[0]!, inputs[1]!, inputs[2]!);
  const body = graphOf("step", inputs, [
    ["next", next],
    ["seen", draw.chance(0.5) ? b.neg(inputs[0]!) : next],
  ]);
  return arena.node("scan", operands, { body, states: 1, sequences: 1 }).results;
};
