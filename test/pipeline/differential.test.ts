import { describe, expect, it } from "vitest";
import { checkCompiled, describeOptions, sizesOf } from "./support/differential.ts";
import { drawing } from "./support/draw.ts";
import { randomModel } from "./support/random-model.ts";

const seeds = 40;

/** Every way of compiling one model, the sizes it is told drawn at random. */
const ways = (draw: ReturnType<typeof drawing>, sizes: ReadonlyMap<string, number>) => [
  { naive: true, opset: draw.pick([17, 20, 23]) },
  { target: "onnx", opset: draw.pick([17, 18, 20, 23, 24]) },
  { target: "ort-cpu", opset: draw.pick([17, 20, 23]) },
  { target: "ort-cpu", opset: 23, hints: new Map([...sizes.keys()].map((name) => [name, draw.pick([1, 64, 4096])])) },
  { target: draw.pick(["ort-cpu", "onnx"]), opset: 23, dims: sizes },
];

describe("random models give what they declare after every pass and in the runtime at every level", () => {
  it.each(Array.from({ length: seeds }, (_, seed) => seed))("seed %i", async (seed) => {
    const draw = drawing(seed + 5_000_000);
    const size = draw.int(1, 4);
    const make = () => randomModel(seed, size);
    const { graph } = make();
    const at = [sizesOf(graph, draw, false), sizesOf(graph, draw, false)];
    const problems: string[] = [];
    for (const options of ways(draw, at[1]!)) {
      const say = (problem: string) => problems.push(`${describeOptions(options)}: ${problem}`);
      await checkCompiled(make, options, options.dims ? [options.dims] : at, say);
    }
    expect(problems).toEqual([]);
  });
});
