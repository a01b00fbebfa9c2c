import { quantile } from "../src/backends/ort/measure.ts";
import type { ContractionSpec } from "../src/ir/contraction.ts";
import { contractionOrder, leftToRight, type OrderProblem, orderCost } from "../src/passes/contraction-order.ts";
import { type Cell, column, type Measurement } from "./measurement.ts";

/** Whether the order found is the best there is, and what finding it takes. */
export const contractionOrders: Measurement = {
  name: "contraction-order",
  doc: "Random networks: the order found against the best of all orders, and the time to find it.",
  run(report) {
    const rows: Cell[][] = [];
    for (let count = 3; count <= 12; count++) {
      report.progress(`${count} operands`);
      const networks = Array.from({ length: report.quick ? 10 : 40 }, (_, seed) =>
        randomNetwork(count, 1000 * count + seed),
      );
      const found = networks.map((network) => {
        const start = performance.now();
        const { operations } = contractionOrder(network);
        return { network, operations, ms: performance.now() - start };
      });
      // Trying all orders of 12 operands takes a second per network; a few stand for all there.
      const checked = found.slice(0, count <= 8 ? found.length : report.quick ? 1 : 5);
      const best = checked.filter(({ network, operations }) => operations === leastOperations(network)).length;
      const gain = found.map(
        ({ network, operations }) => orderCost(network, leftToRight(count)).operations / operations,
      );
      const times = found.map(({ ms }) => ms);
      rows.push([count, `${best} of ${checked.length}`, quantile(gain, 0.5), quantile(times, 0.5), Math.max(...times)]);
    }
    report.table({
      title: "contraction order",
      columns: [
        column("operands", "count"),
        column("orders that are the best", "text"),
        column("operations left to right ÷ found", "ratio"),
        column("time", "ms"),
        column("longest", "ms"),
      ],
      rows,
    });
  },
};

/** A generator of numbers in [0, 1): Mulberry32, by T. Ettinger. */
function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A connected network of about three labels per operand, of sizes 2 to 64, with a few labels in its result. */
function randomNetwork(count: number, seed: number): OrderProblem {
  const next = uniform(seed);
  const below = (limit: number) => Math.floor(next() * limit);
  const operands: string[][] = Array.from({ length: count }, () => []);
  const sizes = new Map<string, number>();
  const join = (a: number, b: number) => {
    const label = `l${sizes.size}`;
    sizes.set(label, 2 ** (1 + below(6)));
    operands[a]!.push(label);
    if (b !== a) operands[b]!.push(label);
  };
  for (let i = 1; i < count; i++) join(below(i), i);
  for (let i = 0; i < count / 2; i++) join(below(count), below(count));
  const result = [...sizes.keys()].filter(() => next() < 0.15);
  const spec: ContractionSpec = { operands, result };
  return { spec, sizes };
}

/** The least operations over all orders, by joining sets of operands in every way. */
function leastOperations({ spec, sizes }: OrderProblem): number {
  const count = spec.operands.length;
  const everything = 2 ** count - 1;
  const memo = new Map<number, { readonly operations: number; readonly labels: readonly string[] }>();
  const labelsOf = (set: number): readonly string[] => {
    const inside = new Set(spec.operands.flatMap((labels, i) => (set & (1 << i) ? labels : [])));
    const outside = new Set([...spec.result, ...spec.operands.flatMap((labels, i) => (set & (1 << i) ? [] : labels))]);
    return [...inside].filter((label) => outside.has(label));
  };
  const volume = (labels: Iterable<string>) => [...labels].reduce((product, label) => product * sizes.get(label)!, 1);
  const reductions = spec.operands.reduce((sum, labels, i) => {
    const kept = labelsOf(1 << i);
    return sum + (kept.length < labels.length ? volume(labels) : 0);
  }, 0);
  const solve = (set: number): { readonly operations: number; readonly labels: readonly string[] } => {
    const known = memo.get(set);
    if (known) return known;
    const labels = labelsOf(set);
    let operations = (set & (set - 1)) === 0 ? 0 : Number.POSITIVE_INFINITY;
    for (let left = (set - 1) & set; left > 0; left = (left - 1) & set) {
      const right = set ^ left;
      if (left < right) continue;
      const [a, b] = [solve(left), solve(right)];
      const space = volume(new Set([...a.labels, ...b.labels]));
      // A multiply-add is two operations where something is summed, one where not.
      operations = Math.min(operations, a.operations + b.operations + space * (space > volume(labels) ? 2 : 1));
    }
    const solved = { operations, labels };
    memo.set(set, solved);
    return solved;
  };
  return reductions + solve(everything).operations;
}
