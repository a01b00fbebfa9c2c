import { describe, expect, test } from "vitest";
import { Arena } from "../../src/ir/arena.ts";
import { followAxis } from "../../src/ir/axis-flow.ts";
import { evaluateValues } from "../../src/ir/evaluate.ts";
import type { Value } from "../../src/ir/graph.ts";
import type { RefTensor } from "../../src/ir/op-def.ts";
import { type OpName, ops } from "../../src/ir/ops/index.ts";
import { elementCount } from "../../src/ir/tensor.ts";
import { build, type Sample, samples } from "./support/op-samples.ts";
import { sizes, sizesOf, valuesOf } from "./support/types.ts";

const names = (Object.keys(ops) as OpName[]).filter((name) => samples[name].length > 0);

/** Which index along an axis an element has. */
const indexAlong = (dims: readonly number[], axis: number, at: number): number =>
  Math.floor(at / elementCount(dims.slice(axis + 1))) % dims[axis]!;

/** The tensor with other values wherever the index along an axis is not `kept`. */
function disturbed(x: RefTensor, axis: number, kept: number, other: RefTensor): RefTensor {
  const data = x.data.map((value, at) => (indexAlong(x.dims, axis, at) === kept ? value : other.data[at]!));
  return { dims: x.dims, data };
}

function checkSample(name: OpName, sample: Sample): number {
  const arena = new Arena();
  const { inputs, node } = build(arena, name, sample);
  const feeds = (seed: number) =>
    new Map<Value, RefTensor>(
      inputs.map((value, i) => {
        const { dtype, shape } = value.type;
        return [value, valuesOf(dtype, sizesOf(shape), seed + i, sample.positive)];
      }),
    );
  const run = (given: ReadonlyMap<Value, RefTensor>) => evaluateValues(node.results, { inputs: given, dims: sizes });
  const [given, others] = [feeds(17), feeds(170)];
  const before = run(given);
  let followed = 0;
  for (const [operand, value] of inputs.entries())
    for (const axis of value.type.shape.keys()) {
      const at = followAxis(node, operand, axis);
      const size = given.get(value)!.dims[axis]!;
      if (at === undefined || size < 2) continue;
      followed++;
      const kept = size - 1;
      const changed = disturbed(given.get(value)!, axis, kept, others.get(value)!);
      for (const [i, { dims, data }] of run(new Map([...given, [value, changed]])).entries()) {
        expect(dims[at]).toBe(size);
        data.forEach((number, j) => {
          if (indexAlong(dims, at, j) === kept) expect(number).toBe(before[i]!.data[j]);
        });
      }
    }
  return followed;
}

/** Ops without operands or axes to follow, and those of which nothing is said. */
const silent: readonly string[] = [
  "constant",
  "iota",
  "size",
  "scatter",
  "flatNonZero",
  "linearAttention",
  "if",
  "scan",
];

describe("what is said to be computed index by index needs no other index", () => {
  test.each(names)("%s", (name) => {
    const followed = samples[name].map((sample) => checkSample(name, sample)).reduce((a, b) => a + b, 0);
    expect(followed > 0, `${followed} axes are followed`).toBe(!silent.includes(name));
  });
});
