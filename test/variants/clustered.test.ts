import { describe, expect, test } from "vitest";
import clustered from "../../models/variants/clustered.ts";
import lsh from "../../models/variants/lsh.ts";
import routing from "../../models/variants/routing.ts";
import sinkhorn from "../../models/variants/sinkhorn.ts";
import { substituteDims } from "../../src/ir/substitute.ts";
import { toFloat64 } from "../../src/ir/tensor.ts";
import { type Feeds, named } from "./support/reference.ts";
import {
  dot,
  largest,
  length,
  perHead,
  plus,
  type Rows,
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

interface Hashing {
  readonly buckets: number;
  readonly chunk: number;
  readonly rounds: number;
  readonly causal: boolean;
}

/** Query by query, as equations 2 to 6 of the paper have it. */
function hashed(feeds: Feeds, { Q }: Lengths, { buckets, chunk, rounds, causal }: Hashing): number[] {
  const rotations = toFloat64(named(feeds, "rotations"));
  return perHead(batch, heads, (b, h) => {
    const [q, v] = ["qk", "v"].map((name) => rowsAt(named(feeds, name), b, h));
    const k = q!.map((x) => scaled(x, 1 / length(x)));
    const bucket = range(rounds).map((r) =>
      q!.map((x) => {
        const turned = range(buckets / 2).map((m) =>
          dot(
            x,
            range(d).map((c) => rotations[((h * d + c) * rounds + r) * (buckets / 2) + m]!),
          ),
        );
        return largest([...turned, ...turned.map((y) => -y)], 1)[0]!;
      }),
    );
    const chunkOf = bucket.map((of) => {
      const order = range(Q).sort((i, j) => of[i]! - of[j]! || i - j);
      return range(Q).map((i) => Math.floor(order.indexOf(i) / chunk));
    });
    const parts = range(Q).map((i) =>
      range(rounds).map((r) => {
        const seen = range(Q).filter(
          (j) =>
            bucket[r]![i] === bucket[r]![j] &&
            (!causal || j <= i) &&
            [0, 1].includes(chunkOf[r]![i]! - chunkOf[r]![j]!),
        );
        const scores = seen.map((j) => {
          if (i === j) return -1e5;
          const met = bucket.filter((of) => of[i] === of[j]).length;
          return dot(q![i]!, k[j]!) / Math.sqrt(d) - Math.log(met);
        });
        const top = Math.max(...scores);
        const z = top + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - top), 0));
        return {
          z,
          o: weighted(
            scores,
            seen.map((j) => v![j]!),
            d,
          ),
        };
      }),
    );
    return parts.map((of) =>
      weighted(
        of.map(({ z }) => z),
        of.map(({ o }) => o),
        d,
      ),
    );
  });
}

const lshOf = (settings: Partial<Hashing>): Variant => {
  const all: Hashing = { buckets: 8, chunk: 8, rounds: 1, causal: false, ...settings };
  return { model: lsh, settings: { ...all }, outputs: (feeds, lengths) => ({ o: hashed(feeds, lengths, all) }) };
};

interface Sorting {
  readonly block: number;
  readonly max: number;
  readonly iterations: number;
  readonly temperature: number;
}

/** Block by block; the sums of Sinkhorn's normalisation as they are, no logarithms. */
function blockSorted(feeds: Feeds, { Q }: Lengths, { block, iterations, temperature }: Sorting): number[] {
  const count = Math.ceil(Q / block);
  const relu = (x: Vector) => x.map((y) => Math.max(0, y));
  const times = (x: Vector, rows: Rows) =>
    rows[0]!.map((_, o) =>
      dot(
        x,
        rows.map((row) => row[o]!),
      ),
    );
  return perHead(batch, heads, (b, h) => {
    const [q, k, v] = ["q", "k", "v"].map((name) => rowsAt(named(feeds, name), b, h));
    const [first, second] = ["sort_in", "sort_out"].map((name) => rowsAt(named(feeds, `${name}.weight`), h));
    const [p, o] = ["sort_in", "sort_out"].map((name) => rowsAt(named(feeds, `${name}.bias`), h)[0]!);
    const blockOf = (n: number) => range(block, n * block).filter((i) => i < Q);
    let s = range(count).map((n) => {
      const pooled = blockOf(n).reduce((total, i) => plus(total, k![i]!), zeros(d));
      const scores = relu(plus(times(relu(plus(times(pooled, first!), p!)), second!), o!));
      return range(count).map((m) => Math.exp(scores[m]! / temperature));
    });
    for (let i = 0; i < iterations; i++) {
      s = s.map((row) => scaled(row, 1 / row.reduce((x, y) => x + y, 0)) as number[]);
      const columns = range(count).map((m) => s.reduce((total, row) => total + row[m]!, 0));
      s = s.map((row) => row.map((x, m) => x / columns[m]!));
    }
    return range(Q).map((i) => {
      const n = Math.floor(i / block);
      const mix = (x: Rows) =>
        range(Math.min(block, Q)).map((t) =>
          s[n]!.reduce((total, weight, m) => plus(total, scaled(x[m * block + t] ?? zeros(d), weight)), zeros(d)),
        );
      const keys = [...mix(k!), ...blockOf(n).map((j) => k![j]!)];
      const values = [...mix(v!), ...blockOf(n).map((j) => v![j]!)];
      return weighted(
        keys.map((key) => dot(q![i]!, key) / Math.sqrt(d)),
        values,
        d,
      );
    });
  });
}

const sinkhornOf = (settings: Partial<Sorting>): Variant => {
  const all: Sorting = { block: 8, max: 257, iterations: 5, temperature: 0.2, ...settings };
  return {
    model: sinkhorn,
    settings: { ...all },
    outputs: (feeds, lengths) => ({ o: blockSorted(feeds, lengths, all) }),
  };
};

interface Clustering {
  readonly clusters: number;
  readonly bits: number;
  readonly iterations: number;
  readonly top: number;
}

/** Lloyd's algorithm query by query and bit by bit, then equations 4 to 11 of the paper. */
function lloyd(hashes: Rows, { clusters, iterations }: Clustering): number[] {
  let centres = range(clusters).map((c) => hashes[Math.floor((c * hashes.length) / clusters)]!);
  const nearest = () =>
    hashes.map((hash) => {
      const apart = centres.map((centre) => centre.filter((bit, n) => bit !== hash[n]).length);
      return apart.indexOf(Math.min(...apart));
    });
  let cluster = nearest();
  for (let i = 0; i < iterations; i++) {
    centres = centres.map((centre, c) =>
      centre.map((bit, n) => {
        const votes = hashes.reduce((total, hash, at) => total + (cluster[at] === c ? hash[n]! : 0), 0);
        return votes === 0 ? bit : Math.sign(votes);
      }),
    );
    cluster = nearest();
  }
  return cluster;
}

function ofClusters(feeds: Feeds, { Q }: Lengths, all: Clustering): number[] {
  return perHead(batch, heads, (b, h) => {
    const [q, k, v] = ["q", "k", "v"].map((name) => rowsAt(named(feeds, name), b, h));
    const planes = rowsAt(named(feeds, "planes"), h);
    const hashes = q!.map((x) =>
      range(all.bits).map((n) =>
        dot(
          x,
          planes.map((row) => row[n]!),
        ) < 0
          ? -1
          : 1,
      ),
    );
    const cluster = lloyd(hashes, all);
    const means = range(all.clusters).map((c) => {
      const own = range(Q).filter((i) => cluster[i] === c);
      return scaled(
        own.reduce((total, i) => plus(total, q![i]!), zeros(d)),
        1 / Math.max(1, own.length),
      );
    });
    return range(Q).map((i) => {
      const scores = k!.map((key) => dot(means[cluster[i]!]!, key) / Math.sqrt(d));
      const highest = Math.max(...scores);
      const total = scores.reduce((sum, score) => sum + Math.exp(score - highest), 0);
      const weights = scores.map((score) => Math.exp(score - highest) / total);
      const taken = largest(weights, Math.min(all.top, Q));
      const rest = range(Q).filter((j) => !taken.includes(j));
      const others = rest.reduce((sum, j) => plus(sum, scaled(v![j]!, weights[j]!)), zeros(d));
      if (taken.length === 0) return others;
      const own = weighted(
        taken.map((j) => dot(q![i]!, k![j]!) / Math.sqrt(d)),
        taken.map((j) => v![j]!),
        d,
      );
      return plus(
        others,
        scaled(
          own,
          taken.reduce((sum, j) => sum + weights[j]!, 0),
        ),
      );
    });
  });
}

const clusteredOf = (settings: Partial<Clustering>): Variant => {
  const all: Clustering = { clusters: 5, bits: 9, iterations: 3, top: 0, ...settings };
  return {
    model: clustered,
    settings: { ...all },
    outputs: (feeds, lengths) => ({ o: ofClusters(feeds, lengths, all) }),
  };
};

const variants: Readonly<Record<string, Variant>> = {
  routing: routingOf({}),
  "routing, causal": routingOf({ causal: true, clusters: 5 }),
  "routing of few tokens, summed": routingOf({ window: 5, combine: "sum" }),
  lsh: lshOf({}),
  "lsh of three rounds, causal": lshOf({ rounds: 3, causal: true, chunk: 5 }),
  "lsh of two rounds": lshOf({ rounds: 2, buckets: 4, chunk: 16 }),
  sinkhorn: sinkhornOf({}),
  "sinkhorn of longer blocks": sinkhornOf({ block: 33, iterations: 1 }),
  clustered: clusteredOf({}),
  "clustered, the keys of most weight seen by each query": clusteredOf({ top: 4 }),
  "clustered, more keys taken than there may be": clusteredOf({ clusters: 8, bits: 16, iterations: 1, top: 16 }),
};

describe.each(Object.entries(variants))("%s", (_, variant) => checkVariant(variant));

test("routing combines by mean or sum", () => {
  expect(() => routing.build({ combine: "max" })).toThrow(/combine is "max"; it is "mean" or "sum"/);
});

test("sinkhorn has a longest sequence", () => {
  const { arena, graph } = sinkhorn.build({ block: 8, max: 32 });
  expect(() => substituteDims(arena, graph, new Map([["seq", 33]]))).toThrow(/cannot cut 0 to 5 out of 4/);
});
