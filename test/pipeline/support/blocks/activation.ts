import type { Value } from "../../../../src/ir/graph.ts";
import type { Maker } from "../random-model.ts";

/** An activation: as an op, spelled out, or a near miss of one. */
export function activation(m: Maker, given: Value): Value {
  const { b, draw, param, c } = m;
  const x = draw.chance(0.3) ? b.add(given, param([given.type.shape.at(-1) as number])) : given;
  const half = draw.chance(0.85) ? 0.5 : 0.4;
  const halved = (y: Value) =>
    draw.pick([
      () => b.mul(b.mul(x, y), c(half)),
      () => b.mul(b.mul(c(half), x), y),
      () => b.mul(x, b.mul(y, c(half))),
      () => b.div(b.mul(x, y), c(1 / half)),
    ])();
  const normal = () => b.erf(draw.pick([() => b.mul(x, c(Math.SQRT1_2)), () => b.div(x, c(Math.SQRT2)), () => x])());
  const cube = () => draw.pick([() => b.mul(b.mul(x, x), x), () => b.pow(x, c(3)), () => b.mul(x, b.mul(x, x))])();
  const slope = draw.chance(0.8) ? Math.sqrt(2 / Math.PI) : 0.8;
  const bend = draw.chance(0.8) ? 0.044715 : 0.05;
  const inner = () => b.mul(b.add(x, b.mul(cube(), c(bend))), c(slope));
  const kept = <T extends Value>(value: T): T => {
    if (draw.chance(0.1)) m.seen.push(value);
    return value;
  };
  const decay = () => b.add(c(draw.chance(0.8) ? 1 : 2), b.exp(b.neg(x)));
  return draw.pick([
    () => b.gelu(x),
    () => b.gelu(x, { approximate: "tanh" }),
    () => b.silu(x),
    () => b.relu(x),
    () => halved(b.add(kept(normal()), c(1))),
    () => halved(b.add(c(1), kept(b.tanh(inner())))),
    () => b.mul(x, b.sigmoid(draw.chance(0.8) ? x : b.mul(x, c(1.702)))),
    () => b.div(x, decay()),
    () => b.mul(x, b.div(c(1), decay())),
    () => b.max(x, c(draw.chance(0.8) ? 0 : 0.1)),
    () => b.max(c(0), x),
    () => b.tanh(x),
    () => b.sin(b.mul(x, c(2))),
    () => b.select(b.less(x, c(0)), b.mul(x, c(0.1)), x),
  ])();
}
