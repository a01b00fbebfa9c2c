import type { CompileOptions } from "../../../src/compile.ts";
import { evaluateGraph } from "../../../src/ir/evaluate.ts";
import type { Graph } from "../../../src/ir/graph.ts";
import type { HostTensor } from "../../../src/ir/tensor.ts";
import { checkCompiled, describeOptions, sizesOf } from "../../pipeline/support/differential.ts";
import { type Draw, drawing } from "../../pipeline/support/draw.ts";
import { feedsFor, type RandomModel, weightsFor } from "../../pipeline/support/random-model.ts";
import { checkImport } from "./check-import.ts";
import { randomGraph } from "./random-graph.ts";

const opsets = [17, 18, 19, 20, 21, 22, 23, 24];
const feedSeeds = 8;
const greatestOutput = 1e6;

/** The first inputs of some for which every value inside is a number and every output a moderate one. */
function soundFeeds(graph: Graph, sizes: ReadonlyMap<string, number>): ReadonlyMap<string, HostTensor> | undefined {
  const weights = weightsFor(graph);
  const read = (name: string) => weights.get(name)!;
  for (let seed = 0; seed < feedSeeds; seed++) {
    const feeds = feedsFor(graph, sizes, seed);
    let numbers = true;
    const outputs = evaluateGraph(graph, feeds, {
      weights: { read },
      watch: (_, tensor) => {
        numbers &&= !tensor.data.some(Number.isNaN);
        return tensor;
      },
    });
    const moderate = [...outputs.values()].every(({ data }) => data.every((x) => Math.abs(x) <= greatestOutput));
    if (numbers && moderate) return feeds;
  }
  return undefined;
}

/** A few ways of compiling, the sizes some are told drawn at random. */
function ways(draw: Draw, sizes: ReadonlyMap<string, number>): readonly CompileOptions[] {
  const hints = new Map([...sizes.keys()].map((name) => [name, draw.pick([1, 64, 4096])]));
  const target = (name: string): CompileOptions => {
    const told = draw.pick<CompileOptions>([{}, {}, { hints }, { dims: sizes }]);
    return { target: name, opset: draw.pick(opsets), ...told };
  };
  const naive = draw.chance(0.25) ? [{ naive: true, opset: draw.pick(opsets) }] : [];
  return [...naive, target(draw.pick(["ort-cpu", "ort-cpu", "onnx"]))];
}

/** What does not hold of a model, in words: text, passes, export, and numbers of the runtime at every level. */
export async function checkGraph(make: () => RandomModel, seed: number): Promise<readonly string[]> {
  const draw = drawing(seed);
  const { graph } = make();
  const sizes = sizesOf(graph, draw, false);
  const problems: string[] = [];
  for (const options of ways(draw, sizes)) {
    const way = describeOptions(options);
    try {
      const say = (problem: string) => problems.push(`${way}: ${problem}`);
      const { compiled, bytes } = await checkCompiled(make, options, [sizes], say, soundFeeds);
      await checkImport(bytes, compiled, soundFeeds(graph, sizes), say);
    } catch (error) {
      problems.push(`${way}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
  }
  return problems;
}

const greatestSize = 14;

/** The graph of a seed. */
export const graphOfSeed = (seed: number): RandomModel => randomGraph(seed, drawing(seed).int(1, greatestSize));

export const checkSeed = (seed: number): Promise<readonly string[]> => checkGraph(() => graphOfSeed(seed), seed);
