import type { ContractionSpec } from "../contraction.ts";
import type { RefTensor } from "../op-def.ts";
import { elementCount } from "../tensor.ts";
import { gatherStrided } from "./broadcast.ts";

interface Labelled {
  readonly labels: readonly string[];
  readonly tensor: RefTensor;
}

/** Contracts left to right, two operands at a time, summing a label out as soon as nothing later needs it. */
export function evaluateContraction(spec: ContractionSpec, operands: readonly RefTensor[]): RefTensor {
  const items = operands.map((tensor, i) => withoutRepeats({ labels: spec.operands[i]!, tensor }));
  let held = items[0]!;
  for (let i = 1; i <= items.length; i++) {
    const later = new Set([...spec.result, ...items.slice(i + 1).flatMap(({ labels }) => labels)]);
    const next = items[i];
    if (next) held = contractPair(held, next, later);
    else held = contractPair(held, { labels: [], tensor: { dims: [], data: Float64Array.of(1) } }, later);
  }
  return reorder(held, spec.result).tensor;
}

const sizeOf = (item: Labelled, label: string) => item.tensor.dims[item.labels.indexOf(label)] ?? 1;

/** A label twice in one operand reads its diagonal. */
function withoutRepeats({ labels, tensor }: Labelled): Labelled {
  const unique = [...new Set(labels)];
  if (unique.length === labels.length) return { labels, tensor };
  const strides = tensor.dims.map((_, axis) => elementCount(tensor.dims.slice(axis + 1)));
  const merged = unique.map((label) =>
    labels.reduce((stride, other, axis) => (other === label ? stride + strides[axis]! : stride), 0),
  );
  const dims = unique.map((label) => tensor.dims[labels.indexOf(label)]!);
  return { labels: unique, tensor: gatherStrided(tensor.data, dims, merged) };
}

function reorder(item: Labelled, labels: readonly string[]): Labelled {
  const { dims, data } = item.tensor;
  const strides = dims.map((_, axis) => elementCount(dims.slice(axis + 1)));
  const axes = labels.map((label) => item.labels.indexOf(label));
  return {
    labels,
    tensor: gatherStrided(
      data,
      axes.map((axis) => dims[axis]!),
      axes.map((axis) => strides[axis]!),
    ),
  };
}

/** One product as batched matrices: [batch, rows, inner] by [batch, inner, columns]. */
function contractPair(a: Labelled, b: Labelled, later: ReadonlySet<string>): Labelled {
  const left = sumOut(a, new Set([...b.labels, ...later]));
  const right = sumOut(b, new Set([...left.labels, ...later]));
  const shared = left.labels.filter((label) => right.labels.includes(label));
  const batch = shared.filter((label) => later.has(label));
  const inner = shared.filter((label) => !later.has(label));
  const rows = left.labels.filter((label) => !shared.includes(label));
  const columns = right.labels.filter((label) => !shared.includes(label));
  const x = reorder(left, [...batch, ...rows, ...inner]).tensor.data;
  const y = reorder(right, [...batch, ...columns, ...inner]).tensor.data;
  const count = (item: Labelled, labels: readonly string[]) => elementCount(labels.map((label) => sizeOf(item, label)));
  const [nb, nr, nc, ni] = [count(left, batch), count(left, rows), count(right, columns), count(left, inner)];
  const data = new Float64Array(nb * nr * nc);
  for (let n = 0; n < nb; n++)
    for (let r = 0; r < nr; r++) {
      const row = n * nr + r;
      productRow(data.subarray(row * nc, (row + 1) * nc), x, row * ni, y, n * nc * ni, ni);
    }
  const dims = [
    ...[...batch, ...rows].map((label) => sizeOf(left, label)),
    ...columns.map((label) => sizeOf(right, label)),
  ];
  return { labels: [...batch, ...rows, ...columns], tensor: { dims, data } };
}

/** out[c] = Σᵢ x[p + i] · y[q + c·width + i]; four columns at a time, so that each x is read once for all. */
function productRow(out: Float64Array, x: Float64Array, p: number, y: Float64Array, q: number, width: number): void {
  let c = 0;
  for (; c + 4 <= out.length; c += 4) {
    const start = q + c * width;
    let [t0, t1, t2, t3] = [0, 0, 0, 0];
    for (let i = 0; i < width; i++) {
      const a = x[p + i]!;
      const at = start + i;
      t0 += a * y[at]!;
      t1 += a * y[at + width]!;
      t2 += a * y[at + 2 * width]!;
      t3 += a * y[at + 3 * width]!;
    }
    out[c] = t0;
    out[c + 1] = t1;
    out[c + 2] = t2;
    out[c + 3] = t3;
  }
  for (; c < out.length; c++) {
    let total = 0;
    for (let i = 0; i < width; i++) total += x[p + i]! * y[q + c * width + i]!;
    out[c] = total;
  }
}

/** Sums over labels nothing else needs. */
function sumOut(item: Labelled, needed: ReadonlySet<string>): Labelled {
  const kept = item.labels.filter((label) => needed.has(label));
  const gone = item.labels.filter((label) => !needed.has(label));
  if (gone.length === 0) return item;
  const { dims, data } = reorder(item, [...kept, ...gone]).tensor;
  const width = elementCount(dims.slice(kept.length));
  const out = new Float64Array(elementCount(dims.slice(0, kept.length)));
  for (let i = 0; i < out.length; i++) for (let j = 0; j < width; j++) out[i]! += data[i * width + j]!;
  return { labels: kept, tensor: { dims: dims.slice(0, kept.length), data: out } };
}
