import type { Node, Value } from "../../ir/graph.ts";
import { flatKey, mapCode, type Slot, valuesRead } from "./code.ts";
import type { Item } from "./items.ts";

/** A value that goes from one turn of a loop to the next. */
export interface Carried {
  readonly slot: Slot;
  /** What the first turn takes. */
  readonly initial: Value;
  /** What each turn leaves behind. */
  readonly next: readonly Value[];
}

/** Layers that are alike up to a number in the names of their parameters. */
export interface Loop {
  /** What stands before that number. */
  readonly prefix: string;
  readonly first: number;
  readonly count: number;
  /** One turn. What differs from turn to turn are slots. */
  readonly body: readonly Item[];
  readonly carried: readonly Carried[];
  /** Values from outside, another one for each turn. */
  readonly families: readonly Slot[];
  /** What the items make: by turn, then by position in the body. */
  readonly turns: readonly (readonly Item[])[];
}

/** The items of one layer: those that depend on its parameters and on no later ones. */
interface Layer {
  readonly index: number;
  readonly rank: number;
  readonly items: readonly Item[];
}

/** Where the number of a layer stands in a parameter's name: `encoder.layer.` and 3 in `encoder.layer.3.query.weight`. */
export function layerOf(name: string): { readonly prefix: string; readonly index: number } | undefined {
  const match = /^(.*?)(?:^|\.)(\d{1,6})\.(?=.)/.exec(name);
  return match ? { prefix: match[1]!, index: Number(match[2]) } : undefined;
}

export const layerPrefix = (prefix: string, index: number | string): string =>
  prefix === "" ? `${index}` : `${prefix}.${index}`;

/** Items in the order of the layers they belong to, and the loops among them. */
export function findLoops(items: readonly Item[], nameOf: (param: Node) => string) {
  const { ranks, layers } = layersOf(items, nameOf);
  const order = items.toSorted((a, b) => ranks.get(a)! - ranks.get(b)!);
  const loops: Loop[] = [];
  for (const [prefix, list] of layers) {
    const sorted = list.toSorted((a, b) => a.index - b.index);
    for (let start = 0; start + 1 < sorted.length; ) {
      const run = runFrom(sorted, start, prefix, nameOf);
      const loop = run.length > 1 ? loopOf(prefix, run, items) : undefined;
      if (loop) loops.push(loop);
      start += loop ? run.length : 1;
    }
  }
  return { order, ranks, loops };
}

/**
 * The rank of each item: that of the last layer it depends on, 0 for none. Layers rank by where they are last needed: a
 * layer of a decoder begins before the encoder that it waits for.
 */
function layersOf(items: readonly Item[], nameOf: (param: Node) => string) {
  const keys = items.map((item) => layerKeyOf(item, nameOf));
  const lastAt = new Map(keys.flatMap((key, at) => (key === undefined ? [] : [[key, at] as const])));
  const rankOf = new Map([...lastAt].sort(([, x], [, y]) => x - y).map(([key], i) => [key, i + 1] as const));
  const ranks = new Map<Item, number>();
  const definers = new Map<Value, number>();
  for (const [at, item] of items.entries()) {
    const below = valuesRead(item.code).map((value) => definers.get(value) ?? 0);
    const own = keys[at] === undefined ? 0 : rankOf.get(keys[at])!;
    const rank = Math.max(own, ...below);
    ranks.set(item, rank);
    for (const value of item.node.results) definers.set(value, rank);
  }
  return { ranks, layers: groupLayers(items, ranks, rankOf, nameOf) };
}

/** The layer whose parameters an item declares; one of its own for other parameters; nothing where there are none. */
function layerKeyOf({ params, node }: Item, nameOf: (param: Node) => string): string | undefined {
  const [first, ...others] = params.map((param) => layerOf(nameOf(param)));
  if (first && others.every((one) => one && layerKey(one) === layerKey(first))) return layerKey(first);
  return params.length > 0 && node.op !== "param" ? `${node.id}` : undefined;
}

function groupLayers(
  items: readonly Item[],
  ranks: ReadonlyMap<Item, number>,
  rankOf: ReadonlyMap<string, number>,
  nameOf: (param: Node) => string,
): ReadonlyMap<string, readonly Layer[]> {
  const members = new Map<number, Item[]>();
  for (const item of items) {
    const list = members.get(ranks.get(item)!);
    if (list) list.push(item);
    else members.set(ranks.get(item)!, [item]);
  }
  const layers = new Map<string, Map<number, Layer>>();
  for (const param of items.flatMap(({ params }) => params)) {
    const place = layerOf(nameOf(param));
    const rank = place && rankOf.get(layerKey(place));
    if (!place || rank === undefined) continue;
    const list = layers.get(place.prefix) ?? new Map<number, Layer>();
    layers.set(place.prefix, list.set(place.index, { index: place.index, rank, items: members.get(rank) ?? [] }));
  }
  return new Map([...layers].map(([prefix, list]) => [prefix, [...list.values()]]));
}

const layerKey = ({ prefix, index }: { readonly prefix: string; readonly index: number }) => `${prefix} ${index}`;

/** Layers one after the other that are written alike; the last may go on with what comes after it. */
function runFrom(layers: readonly Layer[], start: number, prefix: string, nameOf: (param: Node) => string) {
  const keysOf = ({ index, items }: Layer) => {
    const own = `${layerPrefix(prefix, index)}.`;
    const isOwn = items.every(({ params }) => params.every((param) => nameOf(param).startsWith(own)));
    return isOwn ? items.map((item) => keyOf(item, own)) : undefined;
  };
  const base = keysOf(layers[start]!);
  const run = [layers[start]!];
  for (let i = start + 1; base && i < layers.length && layers[i]!.index === run.at(-1)!.index + 1; i++) {
    const keys = keysOf(layers[i]!);
    if (!keys || keys.length < base.length || base.some((key, at) => key !== keys[at])) break;
    run.push({ ...layers[i]!, items: layers[i]!.items.slice(0, base.length) });
    if (keys.length > base.length) break;
  }
  return run;
}

/** Text that two items share exactly where they are the same call in two layers. */
const keyOf = (item: Item, prefix: string): string =>
  flatKey(item.code, (name) => (name.startsWith(prefix) ? name.slice(prefix.length) : `/${name}`));

interface Made {
  readonly turn: number;
  readonly at: number;
  readonly result: number;
}

/** The loop that layers make, if what each takes from the others is always the same. */
function loopOf(prefix: string, run: readonly Layer[], items: readonly Item[]): Loop | undefined {
  const turns = run.map((layer) => layer.items);
  const made = new Map<Value, Made>();
  turns.forEach((list, turn) =>
    list.forEach(({ node }, at) => node.results.forEach((value, result) => made.set(value, { turn, at, result }))),
  );
  const later = dependents(items, made);
  const carried = new Map<string, Carried>();
  const families = new Map<string, Slot>();
  const slotOf = (values: readonly Value[]): Value | Slot | undefined => {
    const from = values.map((value) => made.get(value));
    const same = (i: number, j: number) => from[i]!.at === from[j]!.at && from[i]!.result === from[j]!.result;
    if (from.every((one, i) => one && one.turn === i && same(i, 0))) return values[0]!;
    const outside = values.filter((value) => !made.has(value));
    if (outside.some((value) => later.has(value))) return undefined;
    if (values.every((value) => value === values[0])) return outside.length > 0 ? values[0]! : undefined;
    const key = values.map(({ node, index }) => `${node.id}.${index}`).join(" ");
    if (outside.length === values.length) {
      const slot = families.get(key) ?? { values };
      families.set(key, slot);
      return slot;
    }
    const goesOn = from.every((one, i) => (i === 0 ? !one : one && one.turn === i - 1 && same(i, 1)));
    if (!goesOn) return undefined;
    const known = carried.get(key);
    if (known) return known.slot;
    const { at, result } = from[1]!;
    const slot: Slot = { values };
    carried.set(key, { slot, initial: values[0]!, next: turns.map((list) => list[at]!.node.results[result]!) });
    return slot;
  };
  const body: Item[] = [];
  for (const [at, item] of turns[0]!.entries()) {
    const reads = turns.map((list) => valuesRead(list[at]!.code));
    const slots = reads[0]!.map((_, j) => slotOf(reads.map((list) => list[j]!)));
    if (slots.includes(undefined)) return undefined;
    let next = 0;
    const code = mapCode(item.code, (part) => {
      if (part.kind !== "value") return undefined;
      const slot = slots[next++]!;
      return "values" in slot ? { kind: "slot", slot } : part;
    });
    body.push({ ...item, code });
  }
  const first = run[0]!.index;
  return {
    prefix,
    first,
    count: run.length,
    body,
    turns,
    carried: [...carried.values()],
    families: [...families.values()],
  };
}

/** What is made from values of the loop outside of it. */
function dependents(items: readonly Item[], made: ReadonlyMap<Value, Made>) {
  const later = new Set<Value>();
  for (const item of items) {
    if (item.node.results.some((value) => made.has(value))) continue;
    const depends = valuesRead(item.code).some((value) => made.has(value) || later.has(value));
    if (depends) for (const value of item.node.results) later.add(value);
  }
  return later;
}
