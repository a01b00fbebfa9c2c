import { expect, test } from "vitest";
import { Arena } from "../../src/ir/arena.ts";
import { symbol } from "../../src/ir/dim.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";
import { anyRange, rangesGiven } from "../../src/ir/value-range.ts";

const { build: b } = new Arena();
const rangeOf = rangesGiven(() => undefined);
const ids = b.input({ name: "ids", dtype: "i32", shape: [symbol("n")] });
const x = b.input({ name: "x", dtype: "f32", shape: [symbol("n")] });
const number = (value: number) => b.scalar(value, "f32");
const asFloat = b.cast(ids, { to: "f32" });

test("what is given may be anything of its type", () => {
  expect(rangeOf(x)).toEqual(anyRange);
  expect(rangeOf(b.cast(ids, { to: "bool" }))).toEqual([0, 1]);
  expect(rangeOf(asFloat)[1]).toBe(2 ** 31 - 1);
  expect(rangeOf(asFloat)[1]).toBeLessThan(1e31);
});

test("constants, and what is made of them", () => {
  const three = b.constant({ value: fromNumbers("f32", [3], [-2, 1, 5]) });
  expect(rangeOf(three)).toEqual([-2, 5]);
  expect(rangeOf(b.neg(three))).toEqual([-5, 2]);
  expect(rangeOf(b.abs(three))).toEqual([0, 5]);
  expect(rangeOf(b.mul(three, number(-3)))).toEqual([-15, 6]);
  expect(rangeOf(b.sub(three, three))).toEqual([-7, 7]);
  expect(rangeOf(b.max(three, number(0)))).toEqual([0, 5]);
  expect(rangeOf(b.select(b.less(x, number(0)), number(7), number(9)))).toEqual([7, 9]);
});

test("nothing is known of a sum, product or maximum with a number of which nothing is known: it may be NaN", () => {
  for (const value of [b.add(x, number(1)), b.mul(x, number(0)), b.max(x, number(0)), b.min(x, number(0))])
    expect(rangeOf(value)).toEqual(anyRange);
  expect(rangeOf(b.constant({ value: fromNumbers("f32", [2], [1, Number.NaN]) }))).toEqual(anyRange);
});

test("a choice by comparison leaves no NaN", () => {
  const below = b.select(b.less(x, number(8)), x, number(8));
  expect(rangeOf(below)).toEqual([Number.NEGATIVE_INFINITY, 8]);
  expect(rangeOf(b.select(b.less(number(2), below), below, number(2)))).toEqual([2, 8]);
  expect(rangeOf(b.select(b.less(number(2), below), x, number(2)))).toEqual(anyRange);
});

test("integers that leave their type come in again", () => {
  const wide = b.mul(b.input({ name: "y", dtype: "i64", shape: [] }), b.input({ name: "z", dtype: "i64", shape: [] }));
  expect(rangeOf(b.cast(wide, { to: "f32" }))[1]).toBeLessThanOrEqual(2 ** 64);
});

test("floats that leave their type are infinite", () => {
  const half = (factor: number) =>
    b.cast(b.mul(b.cast(b.cast(ids, { to: "bool" }), { to: "f32" }), number(factor)), { to: "f16" });
  expect(rangeOf(half(60_000))).toEqual([0, 60_000]);
  expect(rangeOf(half(70_000))).toEqual(anyRange);
});
