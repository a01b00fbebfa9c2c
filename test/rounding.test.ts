import { expect, test } from "vitest";
import { tolerances } from "../src/backends/ort/compare-outputs.ts";
import { Arena } from "../src/ir/arena.ts";
import { parseGraph } from "../src/ir/parse.ts";
import { roundingTolerance } from "../src/rounding.ts";

const toleranceOf = (body: string) =>
  roundingTolerance(parseGraph(`graph @g(%x: f32[n, 4]) {\n${body}\n}`, new Arena()));

test("outputs are as near as what they are computed in", () => {
  const narrow = (dtype: string) => `
    %w: ${dtype}[4] = param() {name = "w"}
    %h: ${dtype}[n, 4] = cast(%x) {to = ${dtype}}
    %s: ${dtype}[n, 4] = add(%h, %w)
    %y: f32[n, 4] = cast(%s) {to = f32}
    return %y`;
  expect(toleranceOf(narrow("f16"))).toBe(tolerances.f16);
  expect(toleranceOf(narrow("bf16"))).toBe(tolerances.bf16);
});

test("tensors that are only kept in a narrow type round nothing", () => {
  const kept = `
    %w: f16[9, 4] = param() {name = "w"}
    %i: i64[n] = iota() {size = n}
    %r: f16[n, 4] = gather(%w, %i) {axis = 0}
    %f: f32[n, 4] = cast(%r) {to = f32}
    %y: f32[n, 4] = add(%x, %f)
    return %y`;
  expect(toleranceOf(kept)).toBeUndefined();
});
