import type { Value } from "../../../../src/ir/graph.ts";
import type { Maker } from "../random-model.ts";

/** A norm: as an op, spelled out, or a near miss of one. */
export function norm(m: Maker, x: Value): Value {
  const { b, draw, param, c } = m;
  const width = x.type.shape.at(-1) as number;
  const epsilon = draw.pick([1e-5, 1e-3, 0.1]);
  if (draw.chance(0.15)) return b.layerNorm(x, param([width]), param([width]), { epsilon });
  if (draw.chance(0.1)) return b.layerNorm(x, param([width]), { epsilon });
  if (draw.chance(0.15)) return b.rmsNorm(x, param([width]), { epsilon });
  const input = draw.chance(0.3) ? residual(m, x) : x;
  const axes = [draw.chance(0.8) ? -1 : draw.int(0, 2)];
  const mean = (value: Value, on = axes) =>
    draw.chance(0.8)
      ? b.reduceMean(value, { axes: on, keepDims: true })
      : b.div(b.reduceSum(value, { axes: on, keepDims: true }), c(width));
  const centred = draw.chance(0.5) ? b.sub(input, mean(input, draw.chance(0.9) ? axes : [1])) : input;
  const base = draw.chance(0.9) ? centred : input;
  const square = draw.pick([() => b.mul(base, base), () => b.pow(base, c(2)), () => b.mul(base, input)])();
  const variance = b.add(mean(draw.chance(0.9) ? square : b.mul(base, base)), c(epsilon));
  const root = draw.chance(0.9) ? b.sqrt(b.max(variance, c(1e-3))) : b.add(b.sqrt(b.mul(variance, variance)), c(0.5));
  const spelled = draw.chance(0.5) ? b.sqrt(b.add(mean(b.mul(base, base)), c(epsilon))) : root;
  if (draw.chance(0.1)) m.seen.push(centred);
  const y = draw.chance(0.7) ? b.div(centred, spelled) : b.mul(centred, b.div(c(1), spelled));
  if (draw.chance(0.1)) m.seen.push(y);
  return affine(m, y, width);
}

const residual = ({ b, param }: Maker, x: Value) => b.add(x, b.mul(x, param([1])));

/** Gain and bias: of the last axis as norms have them, or of another shape. */
function affine({ b, draw, param, c }: Maker, x: Value, width: number): Value {
  const tokens = x.type.shape.at(-2);
  const gain = draw.pick([
    () => param([width]),
    () => param([1, 1, width]),
    () => param([1]),
    () => c(draw.pick([1, 2])),
    () => (typeof tokens === "number" ? param([tokens, 1]) : param([width])),
    () => (typeof tokens === "number" ? param([tokens, width]) : param([1, width])),
  ])();
  const scaled = draw.chance(0.8) ? (draw.chance(0.5) ? b.mul(x, gain) : b.mul(gain, x)) : x;
  return draw.chance(0.6) ? b.add(scaled, draw.chance(0.8) ? param([width]) : param([1])) : scaled;
}
