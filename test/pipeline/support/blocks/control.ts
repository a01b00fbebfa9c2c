import { graphOf } from "../../../../src/ir/arena.ts";
import type { Value } from "../../../../src/ir/graph.ts";
import { sameType } from "../../../../src/ir/types.ts";
import type { Maker } from "../random-model.ts";

type Block = (m: Maker, x: Value) => Value;

/** One of two blocks, behind a condition that is fed, or that asks for a length. */
export function branched(m: Maker, x: Value, blocks: readonly Block[]): Value {
  const { b, draw } = m;
  const outer: Value[] = [x];
  const taken = (value: Value) => b.input({ name: `taken${outer.length - 1}`, ...value.type });
  const inner: Value[] = [taken(x)];
  const inside: Maker = {
    ...m,
    seen: [],
    inputs: inner,
    input(dtype, shape, name) {
      outer.push(m.input(dtype, shape, name));
      const value = taken(outer.at(-1)!);
      inner.push(value);
      return value;
    },
  };
  const whenTrue = draw.pick(blocks)(inside, inner[0]!);
  const other = draw.pick(blocks)(inside, inner[0]!);
  const whenFalse = sameType(other.type, whenTrue.type) ? other : b.neg(whenTrue);
  const body = (name: string, value: Value) => graphOf(name, inner, [["out", value]]);
  const condition = draw.pick([
    () => m.input("bool", []),
    () => b.less(b.size({ of: m.tokens }), b.scalar(4, "i64")),
    () => b.less(b.reduceSum(b.abs(x), { axes: x.type.shape.map((_, i) => i) }), b.scalar(5, "f32")),
  ])();
  return b.if(condition, ...outer, { whenTrue: body("yes", whenTrue), whenFalse: body("no", whenFalse) });
}
