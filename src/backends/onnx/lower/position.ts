import type { position } from "../../../ir/ops/position.ts";
import type { LowerContext, Lowered, Lowerings } from "./lowering.ts";
import { int } from "./ref.ts";

/** The runtime's own kernel reads a table [positions, d/2], row i for position i; it takes x as [batch, heads, length, d]. */
function rope({ e, operands, attrs, type }: LowerContext<"rope">): Lowered {
  const [x, cos, sin] = operands;
  const { shape, dtype } = type;
  const table = cos!.type.shape.length === 2 && cos!.type.shape[0] === shape[2];
  if (!e.target.contrib || dtype !== "f32" || shape.length !== 4 || !table) return undefined;
  return e.contrib(type, "RotaryEmbedding", [x, e.indices([0]), cos, sin], {
    interleaved: int(attrs.interleaved ? 1 : 0),
  });
}

export const positionLowerings: Lowerings<keyof typeof position> = { rope };
