import { dimsOfFeeds, symbolsIn } from "./feeds.ts";
import type { Node } from "./ir/graph.ts";
import {
  type Case,
  operationsOf,
  sizesOf,
  withFrozenSizes,
  withInputsFor,
  withOutputValues,
  withoutNodes,
  withPlainNumbers,
  withSize,
} from "./reduce-steps.ts";

/** Whether a case still shows what is looked for. What it throws counts as no. */
export type Check = (candidate: Case) => Promise<boolean>;

export interface ReduceOptions {
  /** Ends the search; the smallest case so far is the answer. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (operations: number, tried: number) => void;
}

/** What keeps the smallest case that still fails. */
interface Search {
  best: Case;
  /** Takes a candidate where it fails too. */
  readonly take: (make: () => Case | undefined) => Promise<boolean>;
}

/**
 * The smallest case found that still fails, by delta debugging (Zeller and Hildebrandt 2002): outputs are dropped, values
 * become outputs or inputs, operations are left out, many at a time first and single ones last, and sizes shrink, again
 * and again until nothing helps. `first` must fail.
 */
export async function reduceCase(first: Case, check: Check, options: ReduceOptions = {}): Promise<Case> {
  const search = searching(first, check, options);
  for (let before = ""; before !== measure(search.best) && !options.signal?.aborted; ) {
    before = measure(search.best);
    await fewerOutputs(search);
    await earlierOutput(search);
    await inChunks(search, withInputsFor);
    await inChunks(search, withoutNodes);
    await freeze(search);
    await smallerSizes(search);
  }
  for (const name of search.best.feeds.keys()) await search.take(() => withPlainNumbers(search.best, name));
  return search.best;
}

/** Changes whenever a step has made anything smaller. */
const measure = (one: Case): string =>
  [
    operationsOf(one).length,
    one.graph.outputs.length,
    one.feeds.size,
    symbolsIn(one.graph).length,
    sizesOf(one),
  ].join();

function searching(first: Case, check: Check, { signal, onProgress }: ReduceOptions): Search {
  let tried = 0;
  const search: Search = {
    best: first,
    take: async (make) => {
      if (signal?.aborted) return false;
      onProgress?.(operationsOf(search.best).length, tried++);
      const candidate = attempt(make);
      if (!candidate || !(await check(candidate).catch(() => false)) || signal?.aborted) return false;
      search.best = candidate;
      return true;
    },
  };
  return search;
}

/** A step may make what inference or evaluation refuses: then it is no candidate. */
function attempt(make: () => Case | undefined): Case | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

async function fewerOutputs(search: Search): Promise<void> {
  const { outputs } = search.best.graph;
  if (outputs.length < 2) return;
  for (const { value } of outputs) if (await search.take(() => withOutputValues(search.best, [value]))) return;
}

/** The earliest value that fails as the only output, by bisection. */
async function earlierOutput(search: Search): Promise<void> {
  const nodes = operationsOf(search.best);
  let [low, high] = [-1, nodes.length - 1];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await search.take(() => withOutputValues(search.best, nodes[middle]!.results))) high = middle;
    else low = middle;
  }
}

/** Applies a step to all operations, then to halves of them, and so on down to single ones. */
async function inChunks(search: Search, step: (one: Case, nodes: readonly Node[]) => Case | undefined): Promise<void> {
  for (let size = operationsOf(search.best).length; size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < operationsOf(search.best).length; ) {
      const chunk = operationsOf(search.best).slice(at, at + size);
      if (!(await search.take(() => step(search.best, chunk)))) at += size;
    }
  }
}

async function freeze(search: Search): Promise<void> {
  const { graph, feeds } = search.best;
  if (symbolsIn(graph).length > 0) await search.take(() => withFrozenSizes(search.best, dimsOfFeeds(graph, feeds)));
}

async function smallerSizes(search: Search): Promise<void> {
  for (const size of sizesOf(search.best)) {
    const smaller = [1, 2, 3, 4, 5, 8, 17, 33].filter((to) => to < size / 2);
    for (const to of [...smaller, Math.floor(size / 2), size - 1])
      if (to >= 1 && to < size && (await search.take(() => withSize(search.best, size, to)))) break;
  }
}
