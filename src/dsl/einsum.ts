import { fail } from "../ir/diagnostics.ts";
import { type Dim, show } from "../ir/dim.ts";
import { showType } from "../ir/types.ts";
import { type Builder, run } from "./builder.ts";
import { describe } from "./checks.ts";
import type { EinsumError, EinsumResult } from "./einsum-types.ts";
import { argument } from "./explain.ts";
import { reshapeTo } from "./movement.ts";
import type { Checked, Differ, DimLike, IsWide, Shape, Show } from "./shape-types.ts";
import { apply, asTensor, type DTypeOf, type PairError, type ShapeOf, sameDType, type Tensor } from "./tensor.ts";

/**
 * Einstein sum. Labels are separated by spaces (`"b h q d, b h k d -> b h q k"`) or are single letters
 * (`"bhqd,bhkd->bhqk"`); `...` stands for any leading axes. Taken left to right as written; the optimiser may reorder.
 * Throws QKV107, QKV109, QKV110, QKV122.
 */
export function einsum<const S extends string, const Xs extends readonly Tensor[]>(
  spec: Checked<S, EinsumError<S, Xs>>,
  ...xs: Xs
): EinsumResult<S, Xs> {
  return run(einsum, [spec, ...xs], (b) => {
    const tensors = xs.map((x, i) => asTensor(b, x, `operand ${i + 1}`));
    return apply(b, "einsum", tensors, { spec: readSpec(spec, tensors) });
  }) as never;
}

const example = 'write it like "b h q d, b h k d -> b h q k" or "bhqd,bhkd->bhqk"';

/** The spec with labels separated by spaces and `...` spelled out, checked against the operands. */
function readSpec(spec: unknown, xs: readonly Tensor[]): string {
  const bad = (why: string): never => fail("QKV122", `einsum: ${describe(spec)} ${why}`, { help: example });
  if (typeof spec !== "string") return bad("is no spec");
  const sides = spec.split("->");
  if (sides.length !== 2) return bad(sides.length < 2 ? "lacks ->" : "has more than one ->");
  const parts = sides[0]!.split(",").map((part) => part.trim());
  const out = sides[1]!.trim();
  if (parts.length !== xs.length) return bad(`has ${parts.length} operands; ${xs.length} were given`);
  const labels = chooseReading([...parts, out], xs);
  const ellipsis = Math.max(0, ...xs.map((x, i) => (labels[i]!.includes("...") ? x.rank - labels[i]!.length + 1 : 0)));
  const expanded = labels.map((names, i) => expand(names, xs[i] ? xs[i].rank - names.length + 1 : ellipsis));
  for (const name of expanded.flat())
    if (!/^[A-Za-z_]\w*$/.test(name)) return bad(`has ${describe(name)}, which is no label`);
  checkSizes(spec, expanded.slice(0, -1), xs);
  const result = expanded.at(-1)!;
  const known = new Set(expanded.slice(0, -1).flat());
  for (const name of result) if (!known.has(name)) return bad(`has the label '${name}' only in its result`);
  if (new Set(result).size !== result.length) return bad("repeats a label in its result");
  return `${expanded
    .slice(0, -1)
    .map((names) => names.join(" "))
    .join(", ")} -> ${result.join(" ")}`;
}

/** Letters where no part has a space within it, unless only words fit the ranks: `seq, seq -> seq`. */
function chooseReading(parts: readonly string[], xs: readonly Tensor[]): readonly (readonly string[])[] {
  const words = parts.map((part) => part.split(/\s+/).filter((word) => word !== ""));
  if (parts.some((part) => /\S\s+\S/.test(part))) return words;
  const letters = parts.map((part) => part.match(/\.\.\.|\S/g) ?? []);
  const fits = (labels: readonly (readonly string[])[]) =>
    xs.every((x, i) => labels[i]!.includes("...") || labels[i]!.length === x.rank);
  return !fits(letters) && fits(words) ? words : letters;
}

const expand = (names: readonly string[], count: number): readonly string[] =>
  names.flatMap((name) =>
    name === "..." ? Array.from({ length: Math.max(0, count) }, (_, i) => `_${count - i}`) : [name],
  );

function checkSizes(spec: string, labels: readonly (readonly string[])[], xs: readonly Tensor[]): void {
  const seen = new Map<string, { readonly dim: Dim; readonly operand: number }>();
  xs.forEach((x, i) => {
    const names = labels[i]!;
    if (names.length !== x.rank)
      fail("QKV110", `einsum: operand ${i + 1} has ${x.rank} axes, the spec "${spec}" names ${names.length}`);
    names.forEach((name, axis) => {
      const dim = x.shape[axis]!;
      const known = seen.get(name);
      if (!known) seen.set(name, { dim, operand: i + 1 });
      else if (known.dim !== dim)
        fail(
          "QKV107",
          `einsum: axis '${name}' is ${show(known.dim)} in operand ${known.operand} but ${show(dim)} in operand ${i + 1}`,
        );
    });
  });
  sameDType(xs, "einsum");
}

type MatmulShape<A extends Shape, B extends Shape> =
  IsWide<A> extends true
    ? Shape
    : IsWide<B> extends true
      ? Shape
      : A extends readonly [...infer HeadA extends Shape, infer M extends DimLike, DimLike]
        ? B extends readonly [...infer HeadB extends Shape, DimLike, infer N extends DimLike]
          ? HeadB extends readonly []
            ? readonly [...HeadA, M, N]
            : HeadA extends readonly []
              ? readonly [...HeadB, M, N]
              : HeadA["length"] extends HeadB["length"]
                ? readonly [...HeadA, M, N]
                : Shape
          : Shape
        : Shape;

type Inner<A, B> = A extends readonly [...Shape, infer K]
  ? B extends readonly [...Shape, infer L, DimLike]
    ? Differ<K, L> extends true
      ? `matmul: inner dimensions differ: x ends in ${Show<K>}, y has ${Show<L>} rows`
      : never
    : never
  : never;

type MatmulError<A, B> =
  IsWide<ShapeOf<A>> extends true
    ? never
    : IsWide<ShapeOf<B>> extends true
      ? never
      : [Inner<ShapeOf<A>, ShapeOf<B>>] extends [never]
        ? DTypeOf<A> & DTypeOf<B> extends never
          ? PairError<"matmul", A, B>
          : never
        : Inner<ShapeOf<A>, ShapeOf<B>>;

/** Matrix product over the last two axes; leading axes are a batch, equal or 1 or absent. Throws QKV107, QKV109, QKV110. */
export function matmul<A extends Tensor, B extends Tensor>(
  x: A,
  y: Checked<B, MatmulError<A, B>>,
): Tensor<MatmulShape<ShapeOf<A>, ShapeOf<B>>, DTypeOf<A>> {
  return run(matmul, [x, y], (b) => product(b, asTensor(b, x, "x"), asTensor(b, y, "y"))) as never;
}

function product(b: Builder, x: Tensor, y: Tensor): Tensor {
  const notes = [`x: ${showType(x.value.type)}    y: ${showType(y.value.type)}`];
  for (const [name, { rank }] of Object.entries({ x, y }))
    if (rank < 2) fail("QKV110", `matmul: ${name} has ${rank} axes; a matrix has 2`, { notes });
  sameDType([x, y], "matmul");
  const [inner, rows] = [x.shape.at(-1)!, y.shape.at(-2)!];
  if (inner !== rows)
    fail("QKV107", `matmul: inner dimensions differ: ${show(inner)} and ${show(rows)}`, {
      notes,
      ...(inner === y.shape.at(-1) && {
        help: `transpose the second operand: matmul(${argument("x", 0)}, transpose(${argument("y", 1)}))`,
      }),
    });
  return batched(b, x, y, notes);
}

/** One product with the batch axes that both have, or one has, as shared or free labels. */
function batched(b: Builder, x: Tensor, y: Tensor, notes: readonly string[]): Tensor {
  const rank = Math.max(x.rank, y.rank);
  const labels = { x: [] as string[], y: [] as string[], out: [] as string[] };
  const kept = { x: [] as Dim[], y: [] as Dim[] };
  const shape: Dim[] = [];
  for (let i = 0; i < rank - 2; i++) {
    const dims = { x: x.shape[i - rank + x.rank], y: y.shape[i - rank + y.rank] };
    const { x: p = 1, y: q = 1 } = dims;
    if (p !== q && p !== 1 && q !== 1)
      fail("QKV107", `matmul: batch dimensions differ: ${show(p)} and ${show(q)}`, { notes });
    const dim = p === 1 ? q : p;
    shape.push(dim);
    if (dim === 1) continue;
    labels.out.push(`b${i}`);
    for (const side of ["x", "y"] as const)
      if (dims[side] === dim) {
        labels[side].push(`b${i}`);
        kept[side].push(dim);
      }
  }
  const left = reshapeTo(b, x, [...kept.x, ...x.shape.slice(-2)]);
  const right = reshapeTo(b, y, [...kept.y, ...y.shape.slice(-2)]);
  const words = (list: readonly string[], ...tail: string[]) => [...list, ...tail].join(" ");
  const spec = `${words(labels.x, "m", "k")}, ${words(labels.y, "k", "n")} -> ${words(labels.out, "m", "n")}`;
  return reshapeTo(b, apply(b, "contract", [left, right], { spec }), [...shape, x.shape.at(-2)!, y.shape.at(-1)!]);
}
