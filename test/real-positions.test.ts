import { expect, test } from "vitest";
import { compile } from "../src/compile.ts";
import { Arena } from "../src/ir/arena.ts";
import { parseGraph } from "../src/ir/parse.ts";
import { fromNumbers } from "../src/ir/tensor.ts";
import { realPositions } from "../src/real-positions.ts";

const text = `graph @outputs(%x: f32[B, S, 2], %mask: i64[B, S]) {
  %first: f32[B, 1, 2] = slice(%x) {axis = 1, start = 0, end = 1}
  %start: f32[B, 2] = reshape(%first) {shape = [B, 2]}
  %ends: f32[2] = reduceSum(%start) {axes = [0]}
  %mean: f32[B, 2] = reduceMean(%x) {axes = [1]}
  %count: i64[B, S] = cumsum(%mask) {axis = 1}
  %shown: f32[B, S, 2] = neg(%x)
  return %shown, %start, %ends, %mean, %count
}`;

const feeds = new Map([["mask", fromNumbers("i64", [3, 2], [1, 0, 0, 1, 0, 0])]]);
const outputs = new Map([
  ["shown", fromNumbers("f32", [3, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])],
  ["start", fromNumbers("f32", [3, 2], [1, 2, 3, 4, 5, 6])],
  ["ends", fromNumbers("f32", [2], [1, 2])],
  ["mean", fromNumbers("f32", [3, 2], [1, 2, 3, 4, 5, 6])],
  ["count", fromNumbers("i64", [3, 2], [1, 2, 3, 4, 5, 6])],
]);

const kept = async (unpad?: string) => {
  const arena = new Arena();
  const compiled = await compile({ graph: parseGraph(text, arena), arena }, unpad === undefined ? {} : { unpad });
  return Object.fromEntries(
    Array.from(realPositions(compiled, feeds)(outputs), ([name, { data }]) => [name, [...data]]),
  );
};

test("zeros at padding, and where a first position that is padding was read; the rest as it was", async () => {
  expect(await kept("mask")).toEqual({
    shown: [1, 2, 0, 0, 0, 0, 7, 8, 0, 0, 0, 0],
    start: [1, 2, 0, 0, 0, 0],
    ends: [1, 2],
    mean: [1, 2, 3, 4, 5, 6],
    count: [1n, 2n, 3n, 4n, 5n, 6n],
  });
});

test("outputs as they are where no padding was declared", async () => {
  expect((await kept()).shown).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
});
