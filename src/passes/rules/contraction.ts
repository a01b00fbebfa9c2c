import type { Build } from "../../ir/arena.ts";
import { type ContractionSpec, showSpec, specOf } from "../../ir/contraction.ts";
import { atLeast } from "../../ir/dim.ts";
import { isFloat } from "../../ir/dtype.ts";
import type { Value } from "../../ir/graph.ts";
import { axisFromFirst, volume } from "../../ir/types.ts";
import { type Match, type Rule, rule } from "../rewrite/rule.ts";
import { a, loose, t, x, y } from "../rewrite/term.ts";
import { invert } from "./movement.ts";

type Labels = readonly string[];

const contract = (b: Build, operands: readonly Value[], spec: ContractionSpec): Value =>
  b.contract(...operands, { spec: showSpec(spec) });

/** Operands that are transposes are read in their own order. */
function absorbTransposes(m: Match, b: Build): Value | undefined {
  const { operands } = m.root.node;
  if (!operands.some(({ node }) => node.op === "transpose")) return undefined;
  const spec = specOf(m.root.node);
  const relabelled = operands.map((operand, i): Labels => {
    const labels = spec.operands[i]!;
    if (operand.node.op !== "transpose") return labels;
    const perm = operand.node.attrs.get("perm") as readonly number[];
    return invert(perm).map((axis) => labels[axis]!);
  });
  const bare = operands.map((operand) => (operand.node.op === "transpose" ? operand.node.operands[0]! : operand));
  return contract(b, bare, { operands: relabelled, result: spec.result });
}

function transposedResult(m: Match, b: Build): Value | undefined {
  const inner = m.value("x");
  if (inner.node.op !== "contract") return undefined;
  const spec = specOf(inner.node);
  const result = m.attr<readonly number[]>("perm").map((axis) => spec.result[axis]!);
  return contract(b, inner.node.operands, { operands: spec.operands, result });
}

/** A single operand whose labels are only put in another order. */
function permutation(m: Match, b: Build): Value | undefined {
  const { operands } = m.root.node;
  const spec = specOf(m.root.node);
  const labels = spec.operands[0]!;
  const permutes = operands.length === 1 && labels.length === spec.result.length;
  if (!permutes || new Set(labels).size !== labels.length) return undefined;
  return b.transpose(operands[0]!, { perm: spec.result.map((label) => labels.indexOf(label)) });
}

/** A single operand some of whose labels are summed, and the others keep their order. */
function sum(m: Match, b: Build): Value | undefined {
  const { operands } = m.root.node;
  const spec = specOf(m.root.node);
  const labels = spec.operands[0]!;
  if (operands.length !== 1 || new Set(labels).size !== labels.length) return undefined;
  const axes = labels.flatMap((label, axis) => (spec.result.includes(label) ? [] : [axis]));
  const kept = labels.filter((label) => spec.result.includes(label));
  const isInOrder = axes.length > 0 && kept.every((label, i) => label === spec.result[i]);
  return isInOrder ? b.reduceSum(operands[0]!, { axes, keepDims: false }) : undefined;
}

/** Axes along which an operand is only repeated need not be read: another operand has them. */
function dropBroadcast(m: Match, b: Build): Value | undefined {
  const { operands } = m.root.node;
  const spec = specOf(m.root.node);
  for (const [i, operand] of operands.entries()) {
    if (operand.node.op !== "broadcast") continue;
    const dropped = withoutRepeatedAxes(b, operand, spec, i);
    if (!dropped) continue;
    const values = operands.map((value, j) => (i === j ? dropped.value : value));
    const labels = spec.operands.map((old, j) => (i === j ? dropped.labels : old));
    return contract(b, values, { operands: labels, result: spec.result });
  }
  return undefined;
}

function withoutRepeatedAxes(b: Build, operand: Value, spec: ContractionSpec, i: number) {
  const labels = spec.operands[i]!;
  const source = operand.node.operands[0]!;
  const added = labels.length - source.type.shape.length;
  const elsewhere = new Set(spec.operands.filter((_, j) => j !== i).flat());
  const repeated = labels.map(
    (_, axis) => axis < added || source.type.shape[axis - added] !== operand.type.shape[axis],
  );
  const free = labels.map((label, axis) => repeated[axis] && elsewhere.has(label) && !repeats(labels, label));
  if (!free.some(Boolean) || repeated.some((is, axis) => is && !free[axis])) return undefined;
  const kept = labels.map((_, axis) => axis).filter((axis) => !free[axis]);
  const shape = kept.map((axis) => operand.type.shape[axis]!);
  return { value: b.reshape(source, { shape }), labels: kept.map((axis) => labels[axis]!) };
}

const repeats = (labels: Labels, label: string): boolean => labels.indexOf(label) !== labels.lastIndexOf(label);

/** A rank-0 operand is a factor of the result. */
function scalarOperand(m: Match, b: Build): Value | undefined {
  const { operands } = m.root.node;
  const at = operands.findIndex(({ type }) => type.shape.length === 0);
  if (at < 0 || operands.length < 2) return undefined;
  const spec = specOf(m.root.node);
  const others = operands.filter((_, i) => i !== at);
  const rest = { operands: spec.operands.filter((_, i) => i !== at), result: spec.result };
  // The factor goes where there is less to multiply.
  const [first, ...more] = others;
  if (!atLeast(volume(m.root.type), volume(first!.type))) return b.mul(contract(b, others, rest), operands[at]!);
  return contract(b, [b.mul(first!, operands[at]!), ...more], rest);
}

/** Σ x · y over axes both have, where each is repeated along an axis that only the other has. */
function sumOfOuterProduct(m: Match, b: Build): Value | undefined {
  const factors = [m.value("x"), m.value("y")];
  const { shape, dtype } = m.root.node.operands[0]!.type;
  const reduced = m.attr<readonly number[]>("axes").map((axis) => axisFromFirst(axis, shape.length));
  const isKept = (axis: number): boolean => !reduced.includes(axis);
  const axes = factors.map(({ type }) =>
    type.shape.flatMap((dim, i) => (dim === 1 ? [] : [i + shape.length - type.shape.length])),
  ) as [number[], number[]];
  const [ofX, ofY] = axes.map((own, i) => own.filter((axis) => !axes[1 - i]!.includes(axis))) as [number[], number[]];
  const isOuter = ofX.length > 0 && ofY.length > 0 && [...ofX, ...ofY].every(isKept);
  if (!isFloat(dtype) || !isOuter || !reduced.some((axis) => axes[0].includes(axis))) return undefined;
  const bare = factors.map((x) => b.reshape(x, { shape: x.type.shape.filter((dim) => dim !== 1) }));
  const label = (axis: number): string => `a${axis}`;
  const result = shape.flatMap((_, axis) => (isKept(axis) && axes.flat().includes(axis) ? [label(axis)] : []));
  const made = contract(b, bare, { operands: axes.map((own) => own.map(label)), result });
  return b.reshape(made, { shape: m.root.type.shape });
}

/** Contractions with the movement around them taken in as labels. */
export const contraction: readonly Rule[] = [
  rule({
    name: "einsum-contract",
    formula: "einsum(…) = contract(…)",
    left: loose("einsum", { spec: a("spec") }),
    right: (m, b) => b.contract(...m.root.node.operands, { spec: m.attr("spec") }),
    tolerance: "reordered",
  }),
  rule({
    name: "contract-of-transpose",
    formula: "contract(transpose(x), …) = contract(x, …) with the labels of x in their own order",
    left: loose("contract"),
    right: absorbTransposes,
  }),
  rule({
    name: "transpose-of-contract",
    formula: "transpose(contract(…)) = contract(…) with the labels of the result in that order",
    left: t.transpose(x, { perm: a("perm") }),
    right: transposedResult,
  }),
  rule({
    name: "contract-permutes",
    formula: "contract(x) = transpose(x) where it only reorders labels",
    left: loose("contract"),
    right: permutation,
  }),
  rule({
    name: "contract-sums",
    formula: "contract(x) = reduceSum(x) where it only sums over labels",
    left: loose("contract"),
    right: sum,
  }),
  rule({
    name: "contract-of-broadcast",
    formula:
      "contract(broadcast(x), …) = contract(x, …) without the labels x is repeated along, where others have them",
    left: loose("contract"),
    right: dropBroadcast,
  }),
  rule({
    name: "contract-of-scalar",
    formula: "contract(x, …, s) = contract(x, …) · s where s has rank 0",
    left: loose("contract"),
    right: scalarOperand,
    tolerance: "reordered",
  }),
  rule({
    name: "sum-of-outer-product",
    formula: "reduceSum(x · y) = contract(x, y) where each is repeated along an axis of the other",
    left: t.reduceSum(t.mul(x, y), { axes: a("axes") }),
    right: sumOfOuterProduct,
    tolerance: "reordered",
  }),
];
