import { describe, expect, it } from "vitest";
import { Arena, graphOf } from "../../src/ir/arena.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import type { Value } from "../../src/ir/graph.ts";
import { elementCount, fromNumbers } from "../../src/ir/tensor.ts";
import { countOf, extremes } from "../../src/passes/rules/counts.ts";

/** Numbers below `most`, the same in every run. */
function drawing(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}

/** Integers counted out somehow: leaves joined, cut, moved and added up. */
function drawn(arena: Arena, below: (most: number) => number, depth: number): Value {
  const b = arena.build;
  const size = 1 + below(4);
  if (depth === 0)
    return [
      () => b.iota({ size }),
      () => b.size({ of: size }),
      () => b.scalar(below(7) - 3, "i64"),
      () => b.constant({ value: fromNumbers("i64", [2, 3], [4, 2, 0, 9, 7, 5 + below(2)]) }),
    ][below(4)]!();
  const x = drawn(arena, below, depth - 1);
  const { shape } = x.type;
  const axis = below(Math.max(1, shape.length));
  const length = Number(shape[axis] ?? 1);
  const start = below(length);
  const other = () => drawn(arena, below, depth - 1);
  const joined = (y: Value) => {
    const isAlike = shape.length > 0 && y.type.shape.length === shape.length;
    return isAlike && shape.every((dim, at) => at === axis || dim === y.type.shape[at]) ? b.concat(x, y, { axis }) : x;
  };
  const meeting = (y: Value, op: "add" | "sub" | "mul") => {
    const fits = shape.every((dim, at) => {
      const met = y.type.shape[at - shape.length + y.type.shape.length];
      return met === undefined || met === dim || met === 1 || dim === 1;
    });
    return fits ? b[op](x, y) : x;
  };
  return [
    () => b.cast(x, { to: below(2) === 0 ? "i64" : "i32" }),
    () => b.broadcast(x, { shape: [2, ...shape] }),
    () => b.reshape(x, { shape: [...shape.slice(0, axis), 1, ...shape.slice(axis)] }),
    () => b.reshape(x, { shape: [elementCount(shape.map(Number))] }),
    () => (shape.length > 0 ? b.slice(x, { axis, start, end: start + 1 + below(length - start) }) : x),
    () => joined(b.add(x, b.scalar(length, x.type.dtype))),
    () => (x.type.dtype === "i64" ? joined(b.cast(other(), { to: "i64" })) : x),
    () => meeting(b.cast(other(), { to: x.type.dtype }), "add"),
    () => meeting(b.cast(other(), { to: x.type.dtype }), "sub"),
    () => meeting(b.cast(other(), { to: x.type.dtype }), "mul"),
  ][below(10)]!();
}

describe("what integers are counted out as", () => {
  it("is what they are", () => {
    let known = 0;
    for (let seed = 1; seed <= 2000; seed++) {
      const arena = new Arena();
      const value = drawn(arena, drawing(seed * 2654435761), 1 + (seed % 5));
      const count = countOf(value);
      if (!count) continue;
      known += Number(count.strides.some((stride) => stride !== 0));
      const { dims, data: elements } = evaluateGraph(graphOf("g", [], [["y", value]]), new Map()).get("y")!;
      // One zero.
      const data = Array.from(elements, (x) => x + 0);
      const found = data.map((_, i) => {
        const at = dims.map((size, axis) => Math.floor(i / elementCount(dims.slice(axis + 1))) % size);
        return at.reduce((sum, index, axis) => sum + index * Number(count.strides[axis]), Number(count.first));
      });
      expect(found, `seed ${seed}`).toEqual(data);
      expect(extremes(count, dims), `seed ${seed}`).toEqual([Math.min(...data), Math.max(...data)]);
    }
    expect(known).toBeGreaterThan(500);
  });

  it("is told in time, however often a part is added to itself", () => {
    const arena = new Arena();
    let value = arena.build.iota({ size: 3 });
    for (let i = 0; i < 40; i++) value = arena.build.add(value, value);
    expect(countOf(value)).toEqual({ first: 0, strides: [2 ** 40] });
  });
});
