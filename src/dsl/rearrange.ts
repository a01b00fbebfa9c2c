import { fail } from "../ir/diagnostics.ts";
import { type Dim, divideExact, product, show } from "../ir/dim.ts";
import { showType } from "../ir/types.ts";
import { type Builder, run } from "./builder.ts";
import { describe, toDim } from "./checks.ts";
import { permute, reshapeTo } from "./movement.ts";
import type { DimLike, Shape } from "./shape-types.ts";
import { apply, asTensor, type DTypeOf, type Tensor } from "./tensor.ts";

/** Sizes of names a pattern does not tell: `{ h: 12 }`. */
export type PatternSizes = Readonly<Record<string, DimLike>>;

/** Names of each axis: one for a plain axis, several for `(h d)`, none for `1`. */
type Side = readonly (readonly string[])[];

/**
 * Moves axes by names: `rearrange(x, "b s (h d) -> b h s d", { h: 12 })`. Both sides have the same names; `(h d)` is one
 * axis made of two, `1` an axis of size 1, `...` any axes. Throws QKV107, QKV108, QKV110, QKV124.
 */
export function rearrange<T extends Tensor>(x: T, pattern: string, sizes?: PatternSizes): Tensor<Shape, DTypeOf<T>> {
  return run(rearrange, [x], (b) => {
    const plan = readPattern(b, "rearrange", x, pattern, sizes);
    const gone = plan.names.filter((name) => !plan.result.includes(name));
    if (gone.length > 0) return plan.bad(`loses '${gone[0]}'`);
    const added = plan.result.find((name) => !plan.names.includes(name));
    if (added !== undefined) return plan.bad(`has '${added}' only on the right`);
    return finish(b, plan, plan.flat, plan.names);
  }) as never;
}

/** As `rearrange`, but names missing on the right are reduced: `reduce(x, "b s d -> b d", "mean")`. */
export function reduce<T extends Tensor>(
  x: T,
  pattern: string,
  how: "sum" | "mean" | "max" | "min",
  sizes?: PatternSizes,
): Tensor<Shape, DTypeOf<T>> {
  return run(reduce, [x], (b) => {
    const plan = readPattern(b, "reduce", x, pattern, sizes);
    const op = ({ sum: "reduceSum", mean: "reduceMean", max: "reduceMax", min: "reduceMin" } as const)[how];
    if (op === undefined) return fail("QKV120", `reduce: ${describe(how)} is none of sum, mean, max, min`);
    const added = plan.result.find((name) => !plan.names.includes(name));
    if (added !== undefined) return plan.bad(`has '${added}' only on the right`);
    const kept = plan.names.filter((name) => plan.result.includes(name));
    const axes = plan.names.flatMap((name, axis) => (kept.includes(name) ? [] : [axis]));
    return finish(b, plan, axes.length === 0 ? plan.flat : apply(b, op, [plan.flat], { axes }), kept);
  }) as never;
}

/** As `rearrange`, but names new on the right repeat x: `repeat(x, "b k d -> b h k d", { h: 8 })`. */
export function repeat<T extends Tensor>(x: T, pattern: string, sizes?: PatternSizes): Tensor<Shape, DTypeOf<T>> {
  return run(repeat, [x], (b) => {
    const plan = readPattern(b, "repeat", x, pattern, sizes);
    const gone = plan.names.find((name) => !plan.result.includes(name));
    if (gone !== undefined) return plan.bad(`loses '${gone}'`);
    const added = plan.result.filter((name) => !plan.names.includes(name));
    for (const name of added) if (!plan.size.has(name)) return plan.bad(`does not say how often: give { ${name}: … }`);
    const names = [...added, ...plan.names];
    const shape = names.map((name) => plan.size.get(name)!);
    return finish(b, plan, added.length === 0 ? plan.flat : apply(b, "broadcast", [plan.flat], { shape }), names);
  }) as never;
}

interface Plan {
  /** x with one axis per name of the left side. */
  readonly flat: Tensor;
  readonly names: readonly string[];
  readonly right: Side;
  readonly result: readonly string[];
  readonly size: ReadonlyMap<string, Dim>;
  bad(why: string): never;
}

function readPattern(b: Builder, what: string, x: unknown, pattern: unknown, sizes: PatternSizes = {}): Plan {
  const tensor = asTensor(b, x, "x");
  const bad = (why: string): never =>
    fail("QKV124", `${what}: ${describe(pattern)} ${why}`, { help: 'write it like "b s (h d) -> b h s d"' });
  if (typeof pattern !== "string") return bad("is no pattern");
  const sides = pattern.split("->");
  if (sides.length !== 2) return bad("needs one ->");
  const written = readSide(sides[0]!, bad);
  const spread = tensor.rank - written.length + 1;
  const left = spreadEllipsis(written, spread);
  const right = spreadEllipsis(readSide(sides[1]!, bad), spread);
  if (left.length !== tensor.rank)
    fail("QKV110", `${what}: ${describe(pattern)} names ${left.length} axes, x has ${tensor.rank}`, {
      notes: [`x: ${showType(tensor.value.type)}`],
    });
  const names = left.flat();
  const result = right.flat();
  for (const list of [names, result]) {
    const twice = list.find((name, i) => list.indexOf(name) !== i);
    if (twice !== undefined) return bad(`has '${twice}' twice on one side`);
  }
  const size = solveSizes(what, left, tensor, sizes, [...names, ...result]);
  const flat = reshapeTo(
    b,
    tensor,
    names.map((name) => size.get(name)!),
  );
  return { flat, names, right, result, size, bad };
}

function readSide(text: string, bad: (why: string) => never): Side {
  const side: string[][] = [];
  let group: string[] | undefined;
  for (const token of text.match(/\.\.\.|[()]|[^\s()]+/g) ?? []) {
    if (token === "(") {
      if (group) bad("nests parentheses");
      group = [];
    } else if (token === ")") {
      side.push(group ?? bad("has ) without ("));
      group = undefined;
    } else if (token === "1") {
      if (!group) side.push([]);
    } else if (!/^([A-Za-z_]\w*|\.\.\.)$/.test(token)) bad(`has ${describe(token)}, which is no name`);
    else if (group) group.push(token);
    else side.push([token]);
  }
  if (group) bad("has ( without )");
  return side;
}

const spreadEllipsis = (side: Side, count: number): Side =>
  side.flatMap((names) =>
    names.includes("...") ? Array.from({ length: Math.max(0, count) }, (_, i) => [`_${i}`]) : [names],
  );

function solveSizes(what: string, left: Side, x: Tensor, given: PatternSizes, names: readonly string[]) {
  const size = new Map<string, Dim>();
  for (const [name, dim] of Object.entries(given)) {
    if (!names.includes(name)) fail("QKV124", `${what}: the pattern has no '${name}'`);
    size.set(name, toDim(dim, `'${name}'`));
  }
  left.forEach((group, axis) => {
    const whole = x.shape[axis]!;
    const free = group.filter((name) => !size.has(name));
    const known = product(group.flatMap((name) => size.get(name) ?? []));
    if (free.length > 1)
      fail("QKV124", `${what}: '(${group.join(" ")})' has more than one unknown`, { help: `give { ${free[0]}: … }` });
    const rest = divideExact(whole, known);
    if (rest === undefined || (free.length === 0 && rest !== 1))
      return fail(
        "QKV108",
        `${what}: ${show(known)} does not ${free.length > 0 ? "divide" : "make"} ${show(whole)}, axis ${axis} of x`,
        {
          notes: [`x: ${showType(x.value.type)}`],
        },
      );
    if (free.length === 1) size.set(free[0]!, rest);
  });
  return size;
}

/** Puts axes called `names` into the order and groups of the right side. */
function finish(b: Builder, { right, result, size }: Plan, x: Tensor, names: readonly string[]): Tensor {
  const moved = permute(
    b,
    x,
    result.map((name) => names.indexOf(name)),
  );
  return reshapeTo(
    b,
    moved,
    right.map((group) => product(group.map((name) => size.get(name)!))),
  );
}
