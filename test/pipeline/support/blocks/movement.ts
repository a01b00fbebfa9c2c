import { add, mul } from "../../../../src/ir/dim.ts";
import type { Value } from "../../../../src/ir/graph.ts";
import type { Maker } from "../random-model.ts";

/** Moves x about and back, often to no effect. */
export function detour(m: Maker, x: Value): Value {
  const { b, draw, arena, param, c } = m;
  const [batch, tokens, last] = x.type.shape as [number, number, number];
  const axis = draw.int(0, 2);
  const size = x.type.shape[axis]!;
  return draw.pick([
    () => b.transpose(b.transpose(x, { perm: [0, 2, 1] }), { perm: [0, 2, 1] }),
    () => {
      const perm = draw.shuffled([0, 1, 2]);
      const back = [0, 1, 2].map((i) => perm.indexOf(i));
      return b.transpose(b.sin(b.transpose(x, { perm })), { perm: back });
    },
    () => b.reshape(b.tanh(b.reshape(x, { shape: [mul(batch, tokens), last] })), { shape: x.type.shape }),
    () =>
      b.concat(b.slice(x, { axis: 2, start: 1, end: last }), b.slice(x, { axis: 2, start: 0, end: 1 }), { axis: 2 }),
    () => b.slice(b.pad(x, { axis, low: 1, high: 2, value: draw.pick([0, 1]) }), { axis, start: 1, end: add(size, 1) }),
    () => b.slice(b.concat(x, b.neg(x), { axis }), { axis, start: size, end: mul(2, size) }),
    () => {
      if (last < 2) return b.neg(x);
      const parts = arena.node("split", [x], { axis: 2, sizes: [1, last - 1] }).results;
      return b.concat(...(draw.chance(0.5) ? parts : [...parts].reverse()), { axis: 2 });
    },
    () => {
      if (last % 2 !== 0) return b.abs(x);
      const [gate, up] = arena.node("split", [x], { axis: 2, sizes: [last / 2, last / 2] }).results;
      return b.mul(b.silu(gate!), up!);
    },
    () => b.add(x, b.broadcast(param([1, 1, last]), { shape: x.type.shape })),
    () => b.mul(b.broadcast(b.reduceMean(x, { axes: [1], keepDims: true }), { shape: x.type.shape }), x),
    () => b.add(x, b.reduceSum(b.mul(x, x), { axes: [draw.int(0, 2)], keepDims: true })),
    () => b.softmax(x, { axis }),
    () => b.logSoftmax(x, { axis }),
    () => b.sub(x, b.cast(b.reshape(b.iota({ size: tokens }), { shape: [tokens, 1] }), { to: "f32" })),
    () => {
      const ids = m.input("i64", [batch, tokens]);
      return b.add(x, b.gather(param([3, last]), ids, { axis: 0 }));
    },
    () =>
      b.add(
        x,
        b.gather(param([last, 3]), b.cast(b.iota({ size: 1 }), { to: "i32" }), { axis: 1 }).type.shape[0] === last
          ? c(0.5)
          : c(1),
      ),
    () => b.mul(x, b.cast(b.size({ of: tokens }), { to: "f32" })),
    () => b.div(b.mul(b.add(x, c(0)), c(1)), c(draw.pick([1, 2, 3]))),
    () => b.sub(b.neg(b.neg(x)), c(0)),
  ])();
}
