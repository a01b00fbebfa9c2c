import { product } from "../../../../src/ir/dim.ts";
import type { Value } from "../../../../src/ir/graph.ts";
import type { Maker } from "../random-model.ts";

/** x Wᵀ or x W along the last axis, in one of many spellings. */
export function linear(m: Maker, x: Value, out = m.draw.pick([1, 2, 4, 6, 12])): Value {
  const { b, draw, param } = m;
  const y = project(m, x, out);
  if (draw.chance(0.5)) return y;
  const bias = param([out]);
  return draw.chance(0.5) ? b.add(y, bias) : b.add(bias, y);
}

export function project({ b, draw, param }: Maker, x: Value, out: number): Value {
  const width = x.type.shape.at(-1) as number;
  const rows = x.type.shape.slice(0, -1).map((_, i) => `r${i}`);
  const outIn = draw.chance(0.5);
  const shape = outIn ? [out, width] : [width, out];
  const weight = draw.chance(0.15) ? b.mul(param(shape), b.scalar(draw.pick([0.5, 0.25, 3]), "f32")) : param(shape);
  const labels = outIn ? "o i" : "i o";
  const spec = `${rows.join(" ")} i, ${labels} -> ${rows.join(" ")} o`.trim();
  switch (draw.int(0, 4)) {
    case 0:
      return b.einsum(x, weight, { spec });
    case 1:
      return b.contract(weight, x, { spec: `${labels}, ${rows.join(" ")} i -> ${rows.join(" ")} o` });
    case 2: {
      const flat = b.reshape(x, { shape: [product(x.type.shape.slice(0, -1)), width] });
      const y = b.contract(flat, weight, { spec: `n i, ${labels} -> n o` });
      return b.reshape(y, { shape: [...x.type.shape.slice(0, -1), out] });
    }
    case 3: {
      const turned = b.transpose(weight, { perm: [1, 0] });
      const other = outIn ? "i o" : "o i";
      return b.contract(x, turned, { spec: `${rows.join(" ")} i, ${other} -> ${rows.join(" ")} o` });
    }
    default:
      return b.contract(x, weight, { spec });
  }
}
