import { opDef } from "../ir/arena.ts";
import type { AttrSpecs, AttrTypes } from "../ir/attrs.ts";
import { fail } from "../ir/diagnostics.ts";
import { type OpName, ops } from "../ir/ops/index.ts";
import { type Builder, run } from "./builder.ts";
import { anyDim, describe } from "./checks.ts";
import type { DimLike } from "./shape-types.ts";
import { asTensor, type Tensor, wrap } from "./tensor.ts";

/** Ops whose attributes can be written down. */
export type PlainOp = Exclude<OpName, "input" | "param" | "constant" | "if" | "scan">;

/** An attribute as an author writes it: dimensions as everywhere, all else as in docs/ops.md. */
type Written<K extends keyof AttrTypes> = K extends "dim"
  ? DimLike
  : K extends "dims"
    ? readonly DimLike[]
    : AttrTypes[K];

/** The attributes of an op; those with a default may be left out. */
export type OpAttributes<K extends PlainOp> = {
  readonly [A in keyof (typeof ops)[K]["attrs"]]?: (typeof ops)[K]["attrs"][A] extends {
    readonly kind: infer Kind extends keyof AttrTypes;
  }
    ? Written<Kind>
    : never;
};

/**
 * The first result of any op of the IR, by its name in docs/ops.md: for what has no function of its own here.
 * Throws QKV106, QKV120, QKV210 to QKV213.
 */
export function op<K extends PlainOp>(name: K, xs: readonly Tensor[], attributes?: OpAttributes<K>): Tensor {
  return run(op, operandsOf(xs), (b) => made(b, name, xs, attributes)[0]!);
}

/** All results of an op, as `op` makes it. */
export function opResults<K extends PlainOp>(
  name: K,
  xs: readonly Tensor[],
  attributes?: OpAttributes<K>,
): readonly Tensor[] {
  return run(opResults, operandsOf(xs), (b) => made(b, name, xs, attributes));
}

const operandsOf = (xs: unknown): readonly unknown[] => (Array.isArray(xs) ? xs : [xs]);

function made(b: Builder, name: unknown, xs: unknown, attributes: object = {}): readonly Tensor[] {
  if (typeof name !== "string" || !Object.hasOwn(ops, name)) return fail("QKV120", `op: there is no ${describe(name)}`);
  if (!Array.isArray(xs)) return fail("QKV106", `op: the operands are ${describe(xs)}; write a list of tensors`);
  const { attrs } = opDef(name);
  const values = xs.map((x, i) => asTensor(b, x, `operand ${i + 1}`).value);
  const given = Object.entries(attributes).map(([key, value]) => [key, readAttribute(attrs, name, key, value)]);
  return b.arena.node(name, values, Object.fromEntries(given)).results.map((value) => wrap(b, value));
}

function readAttribute(specs: AttrSpecs, name: string, key: string, value: unknown): unknown {
  const kind = Object.hasOwn(specs, key) ? specs[key]!.kind : undefined;
  if (kind === "dim") return anyDim(value, key);
  if (kind === "dims" && Array.isArray(value)) return value.map((dim) => anyDim(dim, key));
  if (kind === "graph" || kind === "tensor" || kind === "formula")
    return fail("QKV120", `op: "${key}" of ${name} cannot be written down`, {
      help: "scan, cond, constant and attention make these",
    });
  return value;
}
