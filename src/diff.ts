import { readModel } from "./backends/onnx/decode.ts";
import type { OnnxModel, OnnxValueInfo } from "./backends/onnx/schema.ts";
import type { DiffReport, DiffRow } from "./compare-report.ts";
import type { Compiled } from "./compile.ts";
import { randomFeeds } from "./feeds.ts";
import { costOf } from "./ir/cost.ts";
import { evaluate } from "./ir/dim.ts";
import { evaluateValues } from "./ir/evaluate.ts";
import { nodesOf, type Value } from "./ir/graph.ts";
import type { RefTensor } from "./ir/op-def.ts";
import { inlineConstants } from "./ir/print.ts";
import { toFloat64 } from "./ir/tensor.ts";
import { nameValues } from "./ir/text-names.ts";
import { type OurValue, type Pair, pairsOf, tensorsOf } from "./pairing.ts";
import { type Fate, fatesOf } from "./provenance.ts";
import { runModel } from "./session.ts";

/** Above this many operations tensors are not compared by their numbers. */
const mostFlops = 2e8;

/**
 * What every declared value became in the compiled graph, by which pass, and which tensor of another file it is: by names,
 * then by what both hold for the same inputs. Throws what reading the file throws.
 */
export async function diffAgainst(
  compiled: Compiled,
  file: string,
  dims: ReadonlyMap<string, number>,
  seed = 0,
): Promise<DiffReport> {
  const { declared, arena, steps } = compiled;
  const other = readModel(file);
  const fates = fatesOf(declared, steps, arena);
  const names = nameValues(declared, arena, inlineConstants(declared, nodesOf(declared)));
  const numbers = await numbersOf(compiled, other, fates, dims, seed);
  const ours = fates.map(
    ({ value }, i): OurValue => ({ value, name: names.get(value)!, ...tensorOf(numbers.ours?.[i]) }),
  );
  const others = tensorsOf(other).map((one) => ({ ...one, ...tensorOf(numbers.others?.get(one.name)) }));
  const pairs = pairsOf(ours, others);
  const paired = new Map(pairs.map((pair) => [pair.ours.value, pair]));
  const taken = new Set(pairs.map((pair) => pair.other.name));
  return {
    against: file,
    values: fates.map((fate) => rowOf(fate, names, paired.get(fate.value))),
    only: others.filter(({ name }) => !taken.has(name)).map(({ name, op }) => ({ tensor: name, op })),
    notes: numbers.note === undefined ? [] : [numbers.note],
  };
}

const tensorOf = (tensor: RefTensor | undefined) => (tensor ? { tensor } : {});

function rowOf({ value, became, by, into }: Fate, names: ReadonlyMap<Value, string>, pair: Pair | undefined): DiffRow {
  return {
    value: names.get(value)!,
    op: value.node.op,
    became: became?.node.op ?? null,
    by,
    into: (into && names.get(into)) ?? null,
    tensor: pair?.other.name ?? null,
    tensorOp: pair?.other.op ?? null,
    pairedBy: pair?.by ?? null,
    maxRelError: pair?.maxRelError ?? null,
  };
}

interface Numbers {
  readonly ours?: readonly RefTensor[];
  readonly others?: ReadonlyMap<string, RefTensor>;
  readonly note?: string;
}

/** What both graphs hold for the same inputs: ours in float64, the other's in the runtime, its optimiser off. */
async function numbersOf(
  { declared, weights }: Compiled,
  other: OnnxModel,
  fates: readonly Fate[],
  dims: ReadonlyMap<string, number>,
  seed: number,
): Promise<Numbers> {
  if (evaluate(costOf(declared).flops, dims) > mostFlops)
    return { note: "paired by names only: at these sizes numbers take too long, give smaller --dims" };
  const feeds = randomFeeds(declared, dims, seed);
  try {
    const inputs = new Map(
      declared.inputs.map((value) => {
        const feed = feeds.get(String(value.node.attrs.get("name")))!;
        return [value, { dims: feed.dims, data: toFloat64(feed) }] as const;
      }),
    );
    const ours = evaluateValues(
      fates.map(({ value }) => value),
      { inputs, weights },
    );
    const outputs = await runModel(withEveryOutput(other), feeds, { level: "disabled" });
    const others = new Map(
      Array.from(outputs, ([name, tensor]) => [name, { dims: tensor.dims, data: toFloat64(tensor) }] as const),
    );
    return { ours, others };
  } catch (error) {
    return { note: `paired by names only: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** The model with all its tensors as outputs; the runtime works out their types. */
function withEveryOutput(model: OnnxModel): OnnxModel {
  const { graph } = model;
  const known = new Set(graph.outputs.map(({ name }) => name));
  const more = tensorsOf(model)
    .filter(({ name }) => !known.has(name))
    .map(({ name }): OnnxValueInfo => ({ name, type: undefined }));
  return { ...model, graph: { ...graph, outputs: [...graph.outputs, ...more] } };
}
