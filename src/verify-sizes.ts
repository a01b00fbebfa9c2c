import { defaultSize, symbolsIn, usableSizes } from "./feeds.ts";
import { everyNode } from "./ir/cost.ts";
import { evaluateValues } from "./ir/evaluate.ts";
import { type Graph, topological, type Value } from "./ir/graph.ts";

type Sizes = ReadonlyMap<string, number>;

const oddSizes = [1, 17, 33, 15, 31, 64, 65] as const;
const rounds = 4;
/** Just past the powers of two that lengths are compared with. */
const longSizes = [131, 259, 515, 1027, 2051, 4099] as const;

/** Sizes for the symbols of the inputs, each once: all 1 first, then odd ones, different for different symbols. */
export function sizesToTry(graph: Graph): readonly Sizes[] {
  const symbols = symbolsIn(graph);
  if (symbols.length === 0) return [new Map()];
  const all = Array.from({ length: rounds }, (_, round) =>
    usableSizes(
      graph,
      new Map(
        symbols.map((name, i) => {
          if (round === 0) return [name, 1];
          return [name, defaultSize(graph, name) === 1 ? round : oddSizes[(round + i) % oddSizes.length]!];
        }),
      ),
    ),
  );
  return [...new Map(all.map((sizes) => [[...sizes.values()].join(), sizes])).values()];
}

/** Each size 0 in turn, the others small. */
export const sizesOfNothing = (graph: Graph): readonly Sizes[] =>
  symbolsIn(graph).map((empty, _, symbols) =>
    usableSizes(graph, new Map(symbols.map((name) => [name, name === empty ? 0 : 3])), new Map([[empty, 0]])),
  );

/** Longer sizes at which a compiled graph takes branches it takes at none of the sizes before: one for each new choice. */
export function sizesPastBranches(declared: Graph, compiled: Graph, tried: readonly Sizes[]): readonly Sizes[] {
  const conditions = everyNode(compiled)
    .filter(({ op }) => op === "if")
    .map(({ operands }) => operands[0]!)
    .filter(dependsOnSizesOnly);
  if (conditions.length === 0) return [];
  const choice = (dims: Sizes) =>
    evaluateValues(conditions, { dims })
      .map(({ data }) => data[0])
      .join();
  const seen = new Set(tried.map(choice));
  return longer(declared).filter((dims) => {
    const made = choice(dims);
    return !seen.has(made) && seen.add(made);
  });
}

/** Long sizes of a graph, growing, where any is open: those `given` stay, batches are 1. */
export function longer(graph: Graph, given: Sizes = new Map()): readonly Sizes[] {
  const symbols = symbolsIn(graph);
  if (symbols.every((name) => given.has(name))) return [];
  return longSizes.map((size) =>
    usableSizes(
      graph,
      new Map(symbols.map((name) => [name, given.get(name) ?? (defaultSize(graph, name) === 1 ? 1 : size)])),
      given,
    ),
  );
}

const dependsOnSizesOnly = (value: Value): boolean =>
  topological([value]).every(({ op }) => op !== "input" && op !== "param");
