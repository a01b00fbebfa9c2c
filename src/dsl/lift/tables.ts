import type { ts } from "ts-morph";
import { within } from "../../ir/index-expr/bounds.ts";
import { indexEvaluator } from "../../ir/index-expr/evaluate.ts";
import {
  type IndexExpr,
  type IndexTable,
  index,
  length as lengthNamed,
  lookup,
  partsInOrder,
} from "../../ir/index-expr/types.ts";
import { elementCount } from "../../ir/tensor.ts";
import { showType } from "../../ir/types.ts";
import { activeBuilder } from "../builder.ts";
import { describe } from "../checks.ts";
import { Tensor } from "../tensor.ts";
import { refuse } from "./function-source.ts";
import { describeLifted, fromLive, type Lifted, type Lifting, numeric, truthOf } from "./lifted.ts";

type Live = Extract<Lifted, { kind: "live" }>;

/** `of[at]`. Throws QKV143, QKV148, QKV149. */
export function indexed(cx: Lifting, of: Lifted, at: Lifted, node: ts.ElementAccessExpression): Lifted {
  if (of.kind === "nothing") return refuse("QKV149", `${node.expression.getText()} is undefined here`, node);
  if (of.kind === "list") return elementOf(of.items, at, node);
  if (of.kind === "live" && at.kind === "live" && typeof at.value === "string") return memberOf(cx, of, at.value, node);
  if (at.kind !== "number")
    return refuse("QKV149", `an index is ${describeLifted(at)}, not a number`, node.argumentExpression);
  if (of.kind === "row") return row(cx, of.table, [...of.at, at.expr], node);
  if (of.kind !== "live") return refuse("QKV149", `${describeLifted(of)} cannot be indexed`, node);
  if (at.expr.kind === "number" && !(of.value instanceof Tensor)) return liveElement(of, at.expr.value, node);
  return row(cx, tableOf(cx, of, node), [at.expr], node);
}

function elementOf(items: readonly Lifted[], at: Lifted, node: ts.ElementAccessExpression): Lifted {
  if (at.kind !== "number" || at.expr.kind !== "number")
    return refuse("QKV149", "a list made within the function is indexed by what is not known", node, {
      help: "declare the list outside of the function: it becomes a table",
    });
  const item = items[at.expr.value];
  return item ?? refuse("QKV148", `there is no element ${at.expr.value}; the list has ${items.length}`, node);
}

function liveElement({ value, name }: Live, at: number, node: ts.ElementAccessExpression): Lifted {
  if (typeof value !== "object" || value === null || !("length" in value))
    return refuse("QKV149", `${name} is ${describe(value)}, which has no elements`, node);
  const { length } = value as ArrayLike<unknown>;
  if (!Number.isInteger(at) || at < 0 || at >= length)
    return refuse("QKV148", `the index ${at} is outside of ${name}, which has ${length} elements`, node);
  return fromLive((value as ArrayLike<unknown>)[at], `${name}[${at}]`);
}

/** A table with these indices: its element where they are as many as its axes. */
function row(cx: Lifting, table: number, at: readonly IndexExpr[], node: ts.ElementAccessExpression): Lifted {
  const content = cx.tables[table]!;
  const dims = dimsOf(content);
  const axis = at.length - 1;
  if (!cx.bounds(at[axis]!).whole)
    refuse("QKV149", `an index of ${content.name} need not be an integer`, node.argumentExpression, {
      help: "write Math.floor(…) around it: division of integers gives fractions in JavaScript",
    });
  const size = dims[axis];
  const wrong = typeof size === "number" ? leaving(cx, at[axis]!, size) : undefined;
  if (wrong !== undefined)
    refuse(
      "QKV148",
      `${wrong.where} the index is ${wrong.index}, outside of ${content.name}, which has ${size} there`,
      node.argumentExpression,
      { help: "clamp it: Math.min(Math.max(i, 0), length - 1); or keep it within by a condition around it" },
    );
  if (at.length < dims.length) return { kind: "row", table, at };
  const expr = lookup(table, at);
  return content.truth ? truthOf(expr) : numeric(expr);
}

const mostPoints = 200_000;

/** A point at which an index that is always reached is none of the axis; undefined where none is known. */
function leaving(cx: Lifting, expr: IndexExpr, size: number): { where: string; index: number } | undefined {
  const bounds = cx.bounds(expr);
  if (cx.guards > 0 || within(bounds, size)) return undefined;
  if (expr.kind === "number") return { where: "here", index: expr.value };
  const parts = partsInOrder(expr);
  if (parts.some(({ kind }) => kind === "lookup" || kind === "score" || kind === "length")) return undefined;
  const used = (["b", "h", "q", "k"] as const).filter((name) => parts.includes(index(name)));
  const sizes = used.map((name) => cx.lengths[lengthOf[name]]);
  if (!sizes.every((n) => typeof n === "number") || elementCount(sizes) > mostPoints) return undefined;
  const evaluate = indexEvaluator({ expr, tables: [] });
  for (let i = 0; i < elementCount(sizes); i++) {
    const point = { b: 0, h: 0, q: 0, k: 0 };
    let rest = i;
    used.forEach((name, axis) => {
      point[name] = rest % sizes[axis]!;
      rest = Math.floor(rest / sizes[axis]!);
    });
    const found = evaluate(point);
    if (found >= 0 && found < size) continue;
    return { where: `at ${used.map((name) => `${name} = ${point[name]}`).join(", ")}`, index: found };
  }
  return undefined;
}

const lengthOf = { b: "B", h: "H", q: "Q", k: "K" } as const;

export const dimsOf = (table: IndexTable) => (table.kind === "constant" ? table.dims : table.value.type.shape);

function tableOf(cx: Lifting, { value, name }: Live, node: ts.ElementAccessExpression): number {
  if (value instanceof Tensor) {
    if (value.builder !== activeBuilder())
      refuse("QKV105", `${name} belongs to another build`, node, {
        help: "declare it inside this model's body; tensors cannot be kept between builds",
      });
    if (value.rank === 0)
      refuse("QKV149", `${name} is a tensor without axes; it cannot be indexed`, node, {
        help: "reshape it to [1] and write x[0]",
      });
    return cx.table(value.value, () => ({
      kind: "tensor",
      name,
      truth: value.dtype === "bool",
      value: value.value,
    }));
  }
  return cx.table(value, () => constantTable(value, name, node));
}

function constantTable(value: unknown, name: string, node: ts.Node): IndexTable {
  const dims: number[] = [];
  for (let level = value; isArray(level); level = level[0]) {
    dims.push(level.length);
    if (level.length === 0) refuse("QKV148", `${name} is empty`, node);
  }
  if (dims.length === 0) refuse("QKV149", `${name} is ${describe(value)}, which has no elements`, node);
  const flat: unknown[] = [];
  flatten(value, dims, 0, flat, name, node);
  const truth = flat.every((item) => typeof item === "boolean");
  const wrong = truth ? undefined : flat.find((item) => typeof item !== "number" && typeof item !== "bigint");
  if (wrong !== undefined || (!truth && flat.includes(undefined)))
    refuse("QKV151", `${name} holds ${describe(wrong)}; a table holds numbers, or true and false`, node);
  return { kind: "constant", name, truth, dims, data: Float64Array.from(flat, Number) };
}

const isArray = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && "length" in value);

function flatten(value: unknown, dims: readonly number[], depth: number, out: unknown[], name: string, node: ts.Node) {
  if (depth === dims.length) return void out.push(value);
  if (!isArray(value) || value.length !== dims[depth])
    return refuse("QKV149", `the rows of ${name} are not equally long`, node, {
      help: "pad them to one length: a table is a block of numbers",
    });
  for (let i = 0; i < value.length; i++) flatten(value[i], dims, depth + 1, out, name, node);
}

/** `of.name` of a live value. */
export function memberOf(cx: Lifting, of: Live, name: string, node: ts.Node): Lifted {
  const { value } = of;
  if (value === null || value === undefined) return refuse("QKV151", `${of.name} is ${String(value)}`, node);
  const found = (value as Readonly<Record<string, unknown>>)[name];
  if (found === undefined && typeof value === "object" && !(name in value)) {
    const names = Object.keys(value).slice(0, 8).join(", ");
    const instead = value instanceof Tensor ? `it is ${showType(value.value.type)}` : `it has ${names || "nothing"}`;
    return refuse("QKV151", `${of.name} has no "${name}"`, node, { notes: [instead] });
  }
  return lengthFrom(cx, found) ?? fromLive(found, `${of.name}.${name}`);
}

/** A dimension of the model that is one of the attention's own. */
export function lengthFrom(cx: Lifting, value: unknown): Lifted | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const own = Object.entries(cx.lengths).find(([, dim]) => dim === value);
  return own && numeric(lengthNamed(own[0] as "B"));
}
