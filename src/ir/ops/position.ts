import { optional } from "../attrs.ts";
import { floorDiv, mul } from "../dim.ts";
import { isFloat } from "../dtype.ts";
import { defineOp } from "../op-def.ts";
import { broadcastShapes, sameShape, showShape, volume } from "../types.ts";

export const position = {
  rope: defineOp({
    name: "rope",
    doc: "Rotary positions (Su et al., arXiv:2104.09864): rotates pairs of the last axis by angles given as cosines and sines. Pairs are (i, i + d/2), or (2i, 2i + 1) when interleaved.",
    operands: ["x", "cos", "sin"],
    attrs: { interleaved: optional("bool", "pairs are neighbours instead of halves", false) },
    traits: ["composite"],
    constraints: {
      C1: "x is floating point, cos and sin have its element type",
      C2: "the last axis of x is an even integer d",
      C3: "cos and sin have one shape, end in d/2 and broadcast to x",
    },
    infer: ({ types, require }) => {
      const [x, cos, sin] = types as [(typeof types)[0], (typeof types)[0], (typeof types)[0]];
      require(isFloat(x.dtype) && cos.dtype === x.dtype && sin.dtype === x.dtype, "C1", "element types differ");
      const d = Number(x.shape.at(-1));
      require(d % 2 === 0, "C2", `the last axis of ${showShape(x.shape)} is not even`);
      const half = [...x.shape.slice(0, -1), d / 2];
      const common = broadcastShapes(cos.shape, half);
      const fits = sameShape(cos.shape, sin.shape) && common && sameShape(common, half);
      require(fits, "C3", `cos ${showShape(cos.shape)} and sin ${showShape(sin.shape)} do not rotate ${showShape(x.shape)}`);
      return x;
    },
    cost: ({ types }) => mul(3, volume(types[0]!)),
    decompose: (b, [x, cos, sin], { interleaved }) => {
      const { shape } = x!.type;
      const half = floorDiv(shape.at(-1)!, 2);
      const pairs = [...shape.slice(0, -1), half, 2];
      const squeezed = [...shape.slice(0, -1), half];
      const parts = interleaved
        ? [0, 1].map((i) =>
            b.reshape(b.slice(b.reshape(x!, { shape: pairs }), { axis: -1, start: i, end: i + 1 }), {
              shape: squeezed,
            }),
          )
        : [b.slice(x!, { axis: -1, start: 0, end: half }), b.slice(x!, { axis: -1, start: half, end: shape.at(-1)! })];
      const [even, odd] = parts as [(typeof parts)[0] & object, (typeof parts)[0] & object];
      const first = b.sub(b.mul(even, cos!), b.mul(odd, sin!));
      const second = b.add(b.mul(odd, cos!), b.mul(even, sin!));
      if (!interleaved) return b.concat(first, second, { axis: -1 });
      const column = [...squeezed, 1];
      const joined = b.concat(b.reshape(first, { shape: column }), b.reshape(second, { shape: column }), { axis: -1 });
      return b.reshape(joined, { shape });
    },
  }),
};
