import type { ts } from "ts-morph";
import { type Dim, evaluateKnown, show } from "../../ir/dim.ts";
import { within } from "../../ir/index-expr/bounds.ts";
import { simplified } from "../../ir/index-expr/simplify.ts";
import { constant, type IndexExpr, type IndexTable, lengthOf, lookup } from "../../ir/index-expr/types.ts";
import { nearestName } from "../../ir/nearest-name.ts";
import { showType } from "../../ir/types.ts";
import { activeBuilder } from "../builder.ts";
import { describe } from "../checks.ts";
import { Tensor } from "../tensor.ts";
import { refuse } from "./function-source.ts";
import { describeLifted, knownValue, type Lifted, type Lifting, numeric, truthOf } from "./lifted.ts";
import { pointOutside, pointOutsideNow } from "./outside.ts";
import { choose } from "./values.ts";

type Live = Extract<Lifted, { kind: "live" }>;
/** What a refusal points at, where it is about the index. */
type Access = ts.Node & { readonly argumentExpression?: ts.Expression };

const mostItems = 100_000;

/** `of[at]`. Throws QKV143, QKV148, QKV149. */
export function indexed(cx: Lifting, of: Lifted, at: Lifted, node: Access): Lifted {
  const key = knownValue(at)?.value;
  if (typeof key === "string" || key === "length") return propertyOf(cx, of, key, node);
  if (of.kind === "nothing") return refuse("QKV149", `${of.name ?? "this"} is undefined`, node);
  if (at.kind !== "number")
    return refuse("QKV149", `an index is ${describeLifted(at)}, not a number`, node.argumentExpression ?? node);
  if (of.kind === "row") return row(cx, of.table, [...of.at, at.expr], node);
  if (of.kind === "list") return elementOf(cx, of.items, at.expr, "the list", node);
  if (of.kind !== "live") {
    const names = of.kind === "record" ? [...of.entries.keys()] : [];
    return refuse("QKV149", `${describeLifted(of)} cannot be indexed by a number`, node, {
      ...(names.length > 0 && { help: `there are ${names.join(", ")}, read by their names` }),
    });
  }
  if (at.expr.kind === "number" && !(of.value instanceof Tensor)) return liveElement(cx, of, at.expr.value, node);
  if (isArray(of.value) && !(of.value instanceof Tensor)) {
    const [first] = Array.from(of.value).filter((item) => item !== undefined);
    if (typeof first === "function") return elementOf(cx, elementsOf(cx, of)!, at.expr, of.name, node);
    if (typeof first === "object" && first !== null && !isArray(first) && !(first instanceof Tensor)) {
      checkInside(cx, at.expr, of.value.length, of.name, node);
      return { kind: "member", of: Array.from(of.value) as object[], name: of.name, at: at.expr };
    }
  }
  return row(cx, tableOf(cx, of, node), [at.expr], node);
}

/** One of the items of a list that is known now. */
function elementOf(cx: Lifting, items: readonly Lifted[], at: IndexExpr, name: string, node: Access): Lifted {
  if (at.kind === "number") {
    const item = items[at.value];
    if (item) return item;
    if (cx.inside) return { kind: "nothing", name: node.getText() };
    return refuse("QKV148", `there is no element ${at.value}; ${name} has ${items.length}`, node);
  }
  if (items.length === 0) return refuse("QKV148", `${name} is empty`, node);
  checkInside(cx, at, items.length, name, node);
  return items.reduceRight((rest, item, i) => choose(simplified("equal", at, constant(i)), item, rest, node));
}

function liveElement(cx: Lifting, of: Live, at: number, node: Access): Lifted {
  const { value, name } = of;
  if (typeof value === "object" && value !== null && Object.hasOwn(value, at))
    return cx.live((value as never)[at], `${name}[${at}]`);
  if (!isArray(value) && typeof value !== "string")
    return refuse("QKV149", `${name} is ${describe(value)}, which has no elements`, node, {
      ...(typeof value === "object" && { help: "a table is an array, or arrays of arrays, of numbers" }),
    });
  const { length } = value;
  if (Number.isInteger(at) && at >= 0 && at < length) return cx.live(value[at], `${name}[${at}]`);
  if (cx.inside) return { kind: "nothing", name: node.getText() };
  return refuse("QKV148", `the index ${at} is outside of ${name}, which has ${length} elements`, node);
}

/** A table with these indices: its element where they are as many as its axes. */
function row(cx: Lifting, table: number, at: readonly IndexExpr[], node: Access): Lifted {
  const content = cx.tables[table]!;
  const dims = dimsOf(content);
  const axis = at.length - 1;
  checkInside(cx, at[axis]!, dims[axis]!, content.name, node);
  if (at.length < dims.length) return { kind: "row", table, at };
  const expr = lookup(table, at);
  return content.truth ? truthOf(expr) : numeric(expr);
}

/**
 * Refuses an index that is no integer, or leaves the axis for indices for which it is reached. Where it may be
 * undefined, says for which indices it is not.
 */
function checkInside(cx: Lifting, at: IndexExpr, size: Dim, name: string, node: Access): void {
  const place = node.argumentExpression ?? node;
  const bounds = cx.bounds(at);
  if (!bounds.whole)
    refuse("QKV149", `an index of ${name} need not be an integer`, place, {
      help: "write Math.floor(…) around it: division of integers gives fractions in JavaScript",
    });
  if (typeof size === "number" && within(bounds, size)) return;
  if (at.kind === "index" && cx.lengths[lengthOf[at.name]] === size) return;
  if (cx.inside) return void cx.inside.push(insideOf(cx, at, size, name, node));
  const found = pointOutsideNow(cx, at, size);
  if (found) refuseOutside(found, size, name, place);
  const reached = { at, conditions: [...cx.conditions], tables: cx.tables };
  cx.later.push((lengths, sizes) => {
    const known = evaluateKnown(size, sizes);
    const beyond = known === undefined ? undefined : pointOutside(reached, known, lengths);
    if (known !== undefined && beyond) refuseOutside(beyond, known, name, place);
  });
}

function refuseOutside(
  { where, index }: { readonly where: string; readonly index: number },
  size: Dim,
  name: string,
  place: ts.Node,
): never {
  return refuse("QKV148", `${where} the index is ${index}, outside of ${name}, which has ${show(size)} there`, place, {
    help: "keep it within by a condition around it, clamp it (Math.min(Math.max(i, 0), length - 1)), or say what counts outside: table[i] ?? 0",
  });
}

function insideOf(cx: Lifting, at: IndexExpr, size: Dim, name: string, node: Access): IndexExpr {
  const known = typeof size === "number" ? numeric(constant(size)) : cx.live(size, name);
  if (known.kind !== "number")
    return refuse("QKV149", `how long ${name} is, ${show(size)}, is not known here`, node, {
      help: "it is none of the attention's own lengths: clamp the index instead",
    });
  const low = simplified("greaterEqual", at, constant(0));
  return simplified("and", low, simplified("less", at, known.expr));
}

const dimsOf = (table: IndexTable): readonly Dim[] => (table.kind === "constant" ? table.dims : table.value.type.shape);

/** The elements of a list, an array, a set or a row, where it is known how many there are. */
export function elementsOf(cx: Lifting, value: Lifted): readonly Lifted[] | undefined {
  if (value.kind === "list") return value.items;
  if (value.kind === "row") {
    const size = dimsOf(cx.tables[value.table]!)[value.at.length]!;
    return typeof size === "number" && size <= mostItems ? rowItems(cx, value.table, value.at, size) : undefined;
  }
  if (value.kind !== "live") return undefined;
  if (value.value instanceof Tensor) {
    const [size] = value.value.shape;
    if (typeof size !== "number" || size > mostItems) return undefined;
    return rowItems(cx, tableOf(cx, value), [], size);
  }
  const isList = isArray(value.value) || value.value instanceof Set || value.value instanceof Map;
  if (!isList) return undefined;
  return Array.from(value.value as Iterable<unknown>, (item, i) => cx.live(item, `${value.name}[${i}]`));
}

function rowItems(cx: Lifting, table: number, at: readonly IndexExpr[], size: number): readonly Lifted[] {
  const content = cx.tables[table]!;
  return Array.from({ length: size }, (_, i): Lifted => {
    const all = [...at, constant(i)];
    if (all.length < dimsOf(content).length) return { kind: "row", table, at: all };
    return content.truth ? truthOf(lookup(table, all)) : numeric(lookup(table, all));
  });
}

function tableOf(cx: Lifting, { value, name }: Live, node?: ts.Node): number {
  if (!(value instanceof Tensor)) return cx.table(value, () => constantTable(value, name, node!));
  if (value.builder !== activeBuilder()) {
    const help = "declare it inside this model's body; tensors cannot be kept between builds";
    refuse("QKV105", `${name} belongs to another build`, node!, { help });
  }
  if (value.rank === 0)
    refuse("QKV149", `${name} is a tensor without axes; it cannot be indexed`, node!, {
      help: "reshape it to [1] and write x[0]",
    });
  return cx.table(value.value, () => ({ kind: "tensor", name, truth: value.dtype === "bool", value: value.value }));
}

function constantTable(value: unknown, name: string, node: ts.Node): IndexTable {
  if (ArrayBuffer.isView(value) && isArray(value) && value.length > 0 && typeof value[0] === "number")
    return {
      kind: "constant",
      name,
      truth: false,
      dims: [value.length],
      data: Float64Array.from(value as Float64Array),
    };
  const dims: number[] = [];
  for (let level = value; isArray(level); level = level[0]) {
    dims.push(level.length);
    if (level.length === 0) refuse("QKV148", `${name} is empty`, node);
  }
  if (dims.length === 0)
    refuse("QKV149", `${name} is ${describe(value)}, which has no elements`, node, {
      help: "a table is an array, or arrays of arrays, of numbers",
    });
  const flat: unknown[] = [];
  flatten(value, dims, 0, flat, name, node);
  const truth = flat.every((item) => typeof item === "boolean");
  const wrong = flat.findIndex((item) => typeof item !== (truth ? "boolean" : "number"));
  if (wrong >= 0) {
    const big = typeof flat[wrong] === "bigint";
    refuse("QKV151", `${name} holds ${describe(flat[wrong])}; a table holds numbers, or true and false`, node, {
      help: big
        ? `write Array.from(${name}, Number) where it is declared`
        : typeof flat[wrong] === "string"
          ? `make it numbers or truth outside of the function: const is = ${name}.map((x) => x === ${describe(flat[wrong])})`
          : "make a table of one kind outside of the function, into a const",
    });
  }
  return { kind: "constant", name, truth, dims, data: Float64Array.from(flat, Number) };
}

/** Arrays and typed arrays. */
export const isArray = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && "length" in value);

function flatten(value: unknown, dims: readonly number[], depth: number, out: unknown[], name: string, node: ts.Node) {
  if (depth === dims.length) return void out.push(value);
  if (!isArray(value) || value.length !== dims[depth])
    return refuse("QKV149", `the rows of ${name} are not equally long`, node, {
      help: "pad them to one length: a table is a block of numbers",
    });
  for (let i = 0; i < value.length; i++) flatten(value[i], dims, depth + 1, out, name, node);
}

/** `of.name`. Throws QKV141, QKV143, QKV149, QKV151. */
export function propertyOf(cx: Lifting, of: Lifted, name: string, node: ts.Node): Lifted {
  switch (of.kind) {
    case "record": {
      const missing = { kind: "nothing", name } as const;
      const help = `there are ${[...of.entries.keys()].join(", ")}`;
      return (
        of.entries.get(name) ?? (cx.inside ? missing : refuse("QKV141", `there is no "${name}" here`, node, { help }))
      );
    }
    case "list":
    case "row": {
      const elements = name === "length" ? elementsOf(cx, of) : undefined;
      if (elements) return numeric(constant(elements.length));
      if (of.kind === "list" || name !== "length") break;
      const size = dimsOf(cx.tables[of.table]!)[of.at.length]!;
      const length = cx.live(size, "length");
      return length.kind === "number" ? length : refuse("QKV149", `this length, ${show(size)}, is not known`, node);
    }
    case "member": {
      const key = (item: object) => (item as Readonly<Record<string, unknown>>)[name];
      const values = cx.derived(of.of, name, () => of.of.map(key));
      return indexed(cx, { kind: "live", value: values, name: `${of.name}.${name}` }, numeric(of.at), node);
    }
    case "live":
      return memberOf(cx, of, name, node);
    case "nothing":
      return refuse("QKV151", `${of.name ?? "this"} is undefined, it has no "${name}"`, node);
  }
  return refuse("QKV143", `${describeLifted(of)} has no "${name}" in a formula`, node, {
    help: "a mask or score is written with arithmetic, comparisons, Math and tables",
  });
}

/** `of.name` of a live value. */
export function memberOf(cx: Lifting, of: Live, name: string, node: ts.Node): Lifted {
  const { value } = of;
  if (value === null || value === undefined) return refuse("QKV151", `${of.name} is ${String(value)}`, node);
  const found = (value as Readonly<Record<string, unknown>>)[name];
  if (found !== undefined || name in Object(value)) return cx.live(found, `${of.name}.${name}`);
  if (value instanceof Tensor)
    return refuse("QKV151", `${of.name} has no "${name}"`, node, {
      notes: [`it is ${showType(value.value.type)}`],
      help: `its elements are read by their indices, ${of.name}[i]; how many there are is ${of.name}.dim(0)`,
    });
  const names = Object.keys(value);
  const nearest = nearestName(name, names);
  const mending = {
    notes: [`${of.name} has ${names.slice(0, 8).join(", ") || "nothing"}`],
    ...(nearest !== undefined && { help: `did you mean ${of.name}.${nearest}?` }),
  };
  return { kind: "nothing", name: `${of.name}.${name}`, mending };
}
