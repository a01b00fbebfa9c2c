import { describe } from "vitest";
import routing from "../../models/variants/routing.ts";
import { type Feeds, named } from "./support/reference.ts";
import {
  dot,
  largest,
  length,
  perHead,
  plus,
  range,
  rowsAt,
  scaled,
  type Vector,
  weighted,
  zeros,
} from "./support/selection.ts";
import { batch, checkVariant, heads, type Lengths, type Variant } from "./support/variant.ts";

const d = 8;

interface Routing {
  readonly clusters: number;
  readonly window: number;
  readonly causal: boolean;
  readonly combine: "mean" | "sum";
}

/** Cluster by cluster, as algorithm 1 of the paper has it. */
function routed(feeds: Feeds, { Q }: Lengths, { clusters, window, causal, combine }: Routing): number[] {
  const size = window === 0 ? Math.ceil(Q / clusters) : Math.min(window, Q);
  return perHead(batch, heads, (b, h) => {
    const [q, k, v] = ["q", "k", "v"].map((name) => rowsAt(named(feeds, name), b, h));
    const centroids = rowsAt(named(feeds, "centroids"), h);
    const near = (x: Vector, c: Vector) => {
      const mean = x.reduce((a, y) => a + y, 0) / d;
      const centred = x.map((y) => y - mean);
      return dot(centred, c) / length(centred) / length(c);
    };
    const sums = q!.map(() => zeros(d));
    const counts = q!.map(() => 0);
    for (const c of centroids) {
      const [queries, keys] = [q!, k!].map((xs) =>
        largest(
          xs.map((x) => near(x, c)),
          size,
        ),
      );
      for (const i of queries!) {
        const seen = keys!.filter((j) => !causal || j <= i);
        const scores = seen.map((j) => dot(q![i]!, k![j]!) / Math.sqrt(d));
        const found =
          seen.length > 0
            ? weighted(
                scores,
                seen.map((j) => v![j]!),
                d,
              )
            : zeros(d);
        sums[i] = plus(sums[i]!, found);
        counts[i]!++;
      }
    }
    return range(Q).map((i) => (combine === "mean" && counts[i]! > 0 ? scaled(sums[i]!, 1 / counts[i]!) : sums[i]!));
  });
}

const routingOf = (settings: Partial<Routing>): Variant => {
  const all: Routing = { clusters: 3, window: 0, causal: false, combine: "mean", ...settings };
  return { model: routing, settings: { ...all }, outputs: (feeds, lengths) => ({ o: routed(feeds, lengths, all) }) };
};

const variants: Readonly<Record<string, Variant>> = {
  routing: routingOf({}),
  "routing, causal": routingOf({ causal: true, clusters: 5 }),
  "routing of few tokens, summed": routingOf({ window: 5, combine: "sum" }),
};

describe.each(Object.entries(variants))("%s", (_, variant) => checkVariant(variant));
