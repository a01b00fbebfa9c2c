import { type Arena, graphOf } from "../../../src/ir/arena.ts";
import { symbol } from "../../../src/ir/dim.ts";
import { type DType, dtypes, isFloat } from "../../../src/ir/dtype.ts";
import type { Graph, Value } from "../../../src/ir/graph.ts";
import { fromNumbers } from "../../../src/ir/tensor.ts";
import { numbers } from "./types.ts";

const weird = [
  "constructor",
  "__proto__",
  "a b",
  'quote"d',
  "back\\slash",
  "new\nline",
  "%x",
  "ünïcode",
  "// no",
  "x",
  "1",
  "add_1",
  "",
];
const values = [0, -0, 1, 0.1, -1.5e-7, 3.4e38, Number.NaN, Number.NEGATIVE_INFINITY, 1 / 3, 65504];

/** A graph of about `size` nodes drawn from most kinds of op, attribute, name and constant; the same for a seed. */
export function randomGraph(arena: Arena, seed: number, size: number): Graph {
  const b = arena.build;
  const next = numbers(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(next() * items.length)]!;
  const S = symbol("S");
  const inputs = ["x", pick(weird) || "y"].map((name) => b.input({ name: `${name}`, dtype: "f32", shape: [S, 4] }));
  const [first] = new Set(inputs);
  const pool: Value[] = [...new Set(inputs)];
  const steps: readonly (() => Value)[] = [
    () => b.add(pick(pool), pick(pool)),
    () => b.mul(pick(pool), b.scalar(pick(values), "f32")),
    () => b.sub(b.scalar(pick(values), "f32"), pick(pool)),
    () => b.softmax(pick(pool), { axis: pick([-1, 0]) }),
    () => b.select(b.less(pick(pool), pick(pool)), pick(pool), b.scalar(pick(values), "f32")),
    () => b.transpose(b.transpose(pick(pool), { perm: [1, 0] }), { perm: [1, 0] }),
    () => b.reshape(b.reshape(pick(pool), { shape: [S, 2, 2] }), { shape: [S, 4] }),
    () =>
      b.mul(
        pick(pool),
        b.param({ name: pick(weird) || "w", dtype: "f32", shape: [4], init: pick(["normal", "zeros"]) }),
      ),
    () =>
      b.concat(...[...arena.node("split", [pick(pool)], { axis: 1, sizes: [1, 3] }).results].reverse(), { axis: 1 }),
    () => b.slice(b.pad(pick(pool), { axis: 1, low: 1, high: S, value: pick(values) }), { axis: 1, start: 1, end: 5 }),
    () => b.cast(constant(pick(dtypes), pick([0, 1, 4])), { to: "f32" }),
    () => b.add(pick(pool), b.constant({ value: fromNumbers("f32", [65, 1, 1], Array.from({ length: 65 }, next)) })),
    () => b.select(b.scalar(pick([0, 1]), "bool"), pick(pool), pick(pool)),
    () => b.contract(pick(pool), pick(pool), { spec: "s a, s b -> s a" }),
    () => branches(pick(pool), pick(pool)),
  ];
  const constant = (dtype: DType, length: number): Value => {
    const data = Array.from({ length: length * 2 }, () => (isFloat(dtype) ? pick(values) : Math.floor(next() * 9)));
    return b.constant({ value: fromNumbers(dtype, [length, 2], data) });
  };
  const branches = (x: Value, y: Value): Value => {
    const u = b.input({ name: pick(["u", "x"]), ...x.type });
    const v = b.input({ name: pick(["v", "y y"]), ...y.type });
    return b.if(b.scalar(1, "bool"), x, y, {
      whenTrue: graphOf("then it is", [u, v], [["sum", b.add(u, v)]]),
      whenFalse: graphOf("else", [u, v], [["sum", b.mul(b.neg(u), b.scalar(0.1, "f32"))]]),
    });
  };
  for (let i = 0; i < size; i++) {
    const value = pick(steps)();
    if (next() < 0.4) arena.hint(value, { name: pick([...weird, "h", "probs"]) });
    if (value.type.shape.length === 2 && value.type.shape[0] === S && value.type.shape[1] === 4) pool.push(value);
  }
  const outputs = [pool.at(-1)!, pick(pool), first!];
  return graphOf(
    pick(["main", "odd name", "constructor"]),
    [...new Set(inputs)],
    outputs.map((value, i) => [i === 0 ? `o${pick(weird)}` : `out ${i}`, value] as const),
  );
}
