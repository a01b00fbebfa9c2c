import { type Arena, type Build, graphOf, opDef } from "../../ir/arena.ts";
import type { AttrValue } from "../../ir/attrs.ts";
import { type Dim, mul } from "../../ir/dim.ts";
import { type Graph, type Node, nodesOf, type Value } from "../../ir/graph.ts";
import { isRowOf, realTokens } from "./padding.ts";
import { type Region, varyingAxes } from "./region.ts";

/**
 * The graph with rows computed on real tokens only. Rows are [1, tokens, …]: first one that stands for all padding, then
 * the real ones, batch by batch. The first has what is known at padding, and else the numbers of some position, so that
 * there is a row even where nothing is real.
 */
export function rewrite(graph: Graph, region: Region, tokens: Dim, arena: Arena): Graph {
  const forms = new Forms(region, tokens, arena);
  for (const node of nodesOf(graph)) forms.add(node);
  return graphOf(
    graph.name,
    graph.inputs,
    graph.outputs.map(({ name, value }) => [name, forms.whole(value)] as const),
  );
}

/** Values in both forms: of all positions, and of real tokens only; each is made when first asked for. */
class Forms {
  readonly #region: Region;
  readonly #tokens: Dim;
  readonly #arena: Arena;
  readonly #build: Build;
  readonly #whole = new Map<Value, Value>();
  readonly #rows = new Map<Value, Value>();
  /** [1, tokens]: the place of each row among all positions, counted from 1; 0 for the first. */
  readonly #places: Value;
  /** The same counted from 0; 0 for the first. */
  readonly #positions: Value;
  /** [batch, length]: the row of each position. */
  readonly #slots: Value;

  constructor(region: Region, tokens: Dim, arena: Arena) {
    const { batch, length } = region.mask;
    const b = arena.build;
    this.#region = region;
    this.#tokens = tokens;
    this.#arena = arena;
    this.#build = b;
    const flat = b.reshape(realTokens(region.mask, arena), { shape: [mul(batch, length)] });
    const first = b.reshape(b.scalar(1, "bool"), { shape: [1] });
    const places = b.flatNonZero(b.concat(first, flat, { axis: 0 }), { count: tokens });
    this.#places = b.reshape(places, { shape: [1, tokens] });
    this.#positions = b.max(b.sub(this.#places, b.scalar(1, "i64")), b.scalar(0, "i64"));
    const counted = b.cast(flat, { to: "i64" });
    const slots = b.mul(b.cumsum(counted, { axis: 0 }), counted);
    this.#slots = b.reshape(slots, { shape: [batch, length] });
  }

  add(node: Node): void {
    if (node.results.some((result) => this.#region.rows.has(result))) this.#addRows(node);
    else this.#addWhole(node);
  }

  #addWhole(node: Node): void {
    const operands = node.operands.map((value) => this.whole(value));
    this.#define(this.#whole, node, this.#arena.rebuild(node, operands));
  }

  #addRows(node: Node): void {
    const operands = node.operands.map((value, i) => this.#operand(node, value, i));
    const attrs = Array.from(node.attrs, ([name, value]) => [name, this.#attr(node, name, value)] as const);
    this.#define(this.#rows, node, this.#arena.node(node.op, operands, Object.fromEntries(attrs)));
  }

  #define(forms: Map<Value, Value>, node: Node, copy: Node): void {
    node.results.forEach((value, i) => {
      const made = copy.results[i]!;
      this.#arena.inherit(value, made);
      forms.set(value, made);
    });
  }

  /** The shape a node is given is the shape of its result. */
  #attr(node: Node, name: string, value: AttrValue): AttrValue {
    const isShape = name === "shape" && opDef(node.op).attrs[name]!.kind === "dims";
    return isShape ? [1, this.#tokens, ...(value as readonly Dim[]).slice(2)] : value;
  }

  #operand(node: Node, value: Value, operand: number): Value {
    if (this.#rows.has(value)) return this.#rows.get(value)!;
    if (varyingAxes(node, operand).length === 0) return this.whole(value);
    const { batch, length } = this.#region.mask;
    const { shape } = value.type;
    if (isRowOf(this.#region.mask, shape)) return this.#gathered(value);
    const rank = node.results[0]!.type.shape.length;
    const trailing = Array.from({ length: rank }, (_, i) => shape[i - rank + shape.length] ?? 1).slice(2);
    return this.#gathered(this.#build.broadcast(this.whole(value), { shape: [batch, length, ...trailing] }));
  }

  /** [batch, length, …] to [1, tokens, …]. */
  #gathered(value: Value): Value {
    let rows = this.#rows.get(value);
    if (rows) return rows;
    const b = this.#build;
    const { batch, length } = this.#region.mask;
    const whole = this.whole(value);
    const flat = b.reshape(whole, { shape: [mul(batch, length), ...whole.type.shape.slice(2)] });
    const known = this.#region.known.get(value);
    rows = known
      ? b.gather(b.pad(flat, { axis: 0, low: 1, high: 0, value: known.value }), this.#places, { axis: 0 })
      : b.gather(flat, this.#positions, { axis: 0 });
    this.#rows.set(value, rows);
    return rows;
  }

  /** The value at all positions. */
  whole(value: Value): Value {
    let whole = this.#whole.get(value);
    if (whole) return whole;
    const rows = this.#region.rows.has(value) ? this.#rows.get(value)! : undefined;
    if (!rows) return value;
    const b = this.#build;
    whole = b.reshape(b.gather(rows, this.#slots, { axis: 1 }), { shape: value.type.shape });
    this.#whole.set(value, whole);
    return whole;
  }
}
