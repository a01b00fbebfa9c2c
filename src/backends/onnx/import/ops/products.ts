import type { Dim } from "../../../../ir/dim.ts";
import type { Value } from "../../../../ir/graph.ts";
import type { Conversion, NodeContext } from "../node.ts";
import { unmodelled } from "../unmodelled.ts";
import { alignShapes } from "./broadcast.ts";

const letters = "abcdefghijklmnopqrstuvwxyz".split("");

/** Labels of a batched product: leading axes aligned from the right, an axis of size 1 stretching. */
function productSpec(cx: NodeContext, x: readonly Dim[], y: readonly Dim[]) {
  const [left, right] = [x.slice(0, -2), y.slice(0, -2)];
  alignShapes(cx, [left, right]);
  const rank = Math.max(left.length, right.length);
  const names = letters.slice(0, rank);
  const label = (shape: readonly Dim[]) => names.slice(rank - shape.length);
  return { rank, names, left, right, label };
}

/** The matrix product of NumPy: vectors stand for matrices of one row or column, leading axes stretch. */
export function matrixProduct(cx: NodeContext, x: Value, y: Value): Value {
  const [xs, ys] = [x.type.shape, y.type.shape];
  if (xs.length === 0 || ys.length === 0) return unmodelled("a scalar is no matrix");
  if (xs.length === 1 || ys.length === 1) return vectorProduct(cx, x, y);
  cx.same(xs.at(-1)!, ys.at(-2)!);
  const { names, rank, left, right, label } = productSpec(cx, xs, ys);
  // An axis of size 1 beside another one is left out of its operand.
  const dropped = (shape: readonly Dim[], other: readonly Dim[]) =>
    shape.flatMap((dim, i) => {
      const beside = other[i - shape.length + other.length] ?? 1;
      return dim === 1 && beside !== 1 ? [i] : [];
    });
  const [lost, gone] = [new Set(dropped(left, right)), new Set(dropped(right, left))];
  const without = (value: Value, axes: ReadonlySet<number>) =>
    axes.size === 0 ? value : cx.b.reshape(value, { shape: value.type.shape.filter((_, i) => !axes.has(i)) });
  const kept = (shape: readonly Dim[], axes: ReadonlySet<number>) => label(shape).filter((_, i) => !axes.has(i));
  const [m, n, k] = ["m", "n", "k"].map((name) => `${name}_`);
  const spec = `${[...kept(left, lost), m, k].join(" ")}, ${[...kept(right, gone), k, n].join(" ")} -> ${[...names.slice(0, rank), m, n].join(" ")}`;
  return cx.b.contract(without(x, lost), without(y, gone), { spec });
}

function vectorProduct(cx: NodeContext, x: Value, y: Value): Value {
  const [xs, ys] = [x.type.shape, y.type.shape];
  const row = xs.length === 1 ? cx.b.reshape(x, { shape: [1, xs[0]!] }) : x;
  const column = ys.length === 1 ? cx.b.reshape(y, { shape: [ys[0]!, 1] }) : y;
  const full = matrixProduct(cx, row, column);
  const shape = full.type.shape.filter(
    (_, i) =>
      !(i === full.type.shape.length - 2 && xs.length === 1) && !(i === full.type.shape.length - 1 && ys.length === 1),
  );
  return cx.b.reshape(full, { shape });
}

const lastTwoExchanged = (cx: NodeContext, x: Value) => {
  const rank = x.type.shape.length;
  return cx.b.transpose(x, { perm: [...Array.from({ length: rank - 2 }, (_, i) => i), rank - 1, rank - 2] });
};

const scaled = (cx: NodeContext, x: Value, factor: number) =>
  factor === 1 ? x : cx.b.mul(x, cx.b.scalar(factor, x.type.dtype));

const gemm: Conversion = (cx) => {
  const [x, y] = [cx.value(0), cx.value(1)];
  const left = cx.flag("transA", false) ? lastTwoExchanged(cx, x) : x;
  const right = cx.flag("transB", false) ? lastTwoExchanged(cx, y) : y;
  const product = scaled(cx, matrixProduct(cx, left, right), cx.float("alpha", 1));
  if (!cx.has(2)) return product;
  const bias = scaled(cx, cx.value(2), cx.float("beta", 1));
  alignShapes(cx, [product.type.shape, bias.type.shape]);
  return cx.b.add(product, bias);
};

/** Labels of an Einstein sum, an ellipsis spelled out. */
const einsum: Conversion = (cx) => {
  const operands = cx.values();
  const equation = cx.text("equation", "").replaceAll(" ", "");
  const [inputs, output] = equation.split("->") as [string, string | undefined];
  const terms = inputs.split(",").map((term, i) => labelsOf(term, operands[i]!.type.shape.length));
  const ellipsis = terms.flatMap((term) => term.filter((label) => label.startsWith("e_"))).filter(unique);
  const once = terms
    .flat()
    .filter((label, _, all) => !label.startsWith("e_") && all.indexOf(label) === all.lastIndexOf(label));
  const result = output === undefined ? [...ellipsis.sort().reverse(), ...once.sort()] : resultLabels(output, ellipsis);
  sameSizes(cx, terms, operands);
  return cx.b.contract(...operands, {
    spec: `${terms.map((term) => term.join(" ")).join(", ")} -> ${result.join(" ")}`,
  });
};

const unique = <T>(x: T, i: number, all: readonly T[]): boolean => all.indexOf(x) === i;

/** Ellipsis axes are called e_0, e_1, … from the right. */
function labelsOf(term: string, rank: number): string[] {
  const named = term.replace("...", "").length;
  return term
    .split(/(\.\.\.)/)
    .flatMap((part) =>
      part === "..." ? Array.from({ length: rank - named }, (_, i) => `e_${rank - named - 1 - i}`) : part.split(""),
    );
}

function resultLabels(output: string, ellipsis: readonly string[]): readonly string[] {
  const spread = [...ellipsis].sort((x, y) => Number(y.slice(2)) - Number(x.slice(2)));
  return output.split(/(\.\.\.)/).flatMap((part) => (part === "..." ? spread : part.split("")));
}

function sameSizes(cx: NodeContext, terms: readonly (readonly string[])[], operands: readonly Value[]): void {
  const sizes = new Map<string, Dim>();
  terms.forEach((term, i) => {
    term.forEach((label, axis) => {
      const dim = operands[i]!.type.shape[axis]!;
      const known = sizes.get(label);
      if (known !== undefined) cx.same(known, dim);
      else sizes.set(label, dim);
    });
  });
}

/** Products. */
export const productConversions: Readonly<Record<string, Conversion>> = {
  MatMul: (cx) => matrixProduct(cx, cx.value(0), cx.value(1)),
  Gemm: gemm,
  Einsum: einsum,
};

/** Activations a fused product may end with, besides those with parameters. */
const activations = ["relu", "tanh", "sigmoid"] as const;

/** Products of `com.microsoft`. */
export const contribProducts: Readonly<Record<string, Conversion>> = {
  FusedGemm: (cx) => {
    const wanted = cx.text("activation", "");
    const activation = activations.find((name) => name === wanted.toLowerCase());
    if (!activation) return unmodelled(`its activation is ${wanted || "not said"}`);
    return cx.b[activation](gemm(cx) as Value);
  },
  FusedMatMul: (cx) => {
    if (cx.flag("transBatchA", false) || cx.flag("transBatchB", false)) return unmodelled("it exchanges batch axes");
    const [x, y] = [cx.value(0), cx.value(1)];
    const left = cx.flag("transA", false) ? lastTwoExchanged(cx, x) : x;
    const right = cx.flag("transB", false) ? lastTwoExchanged(cx, y) : y;
    return scaled(cx, matrixProduct(cx, left, right), Math.fround(cx.float("alpha", 1)));
  },
};
