import type { Value } from "../../ir/graph.ts";
import { type BlockWriter, writeFunction } from "./block.ts";
import { type Code, call, list, ref, text } from "./code.ts";
import { type Loop, layerPrefix } from "./loops.ts";
import { Scope } from "./scope.ts";
import type { Unit } from "./units.ts";

/** Writes calls and loops, loops set apart by empty lines. */
export function writeUnits(writer: BlockWriter, units: readonly Unit[]): void {
  for (const unit of units)
    if (unit.kind === "item") writer.writeItem(unit.item);
    else writeLoop(writer, unit.loop);
}

/** A value of every turn that is needed after the loop. */
interface Kept {
  readonly turns: readonly Value[];
  /** The list it is kept in. */
  readonly name: string;
}

/** `for (let i = 0; i < layers; i++) x = scope(…)`: what goes from turn to turn before it, lists of what is kept too. */
function writeLoop(writer: BlockWriter, loop: Loop): void {
  const { cx, scope, statements } = writer;
  const inner = new Scope(scope, `${scope.prefix}${layerPrefix(loop.prefix, loop.first)}.`);
  const bind = (target: string, code: Code) => void statements.push({ kind: "bind", target, code });
  statements.push({ kind: "blank" });
  for (const slot of loop.families) {
    const name = cx.identifiers.fresh("each");
    bind(`const ${name}`, writer.write(list(slot.values.map(ref)), `const ${name} = `));
    inner.fill(slot, text(`${name}[${loop.first === 0 ? "i" : `i - ${loop.first}`}]!`));
  }
  const variables = loop.carried.map(({ slot, initial, next }) => {
    const name = cx.identifiers.fresh(cx.authored(next.at(-1)!) ?? cx.authored(initial) ?? "x");
    bind(`let ${name}: Tensor`, writer.write(ref(initial), `let ${name}: Tensor = `));
    inner.fill(slot, text(name));
    return name;
  });
  const kept = keptOf(writer, loop);
  for (const { name } of kept) bind(`const ${name}: Tensor[]`, list([]));
  const answers = [...loop.carried.map(({ next }) => next[0]!), ...kept.map(({ turns }) => turns[0]!)].map(ref);
  const end: Code = answers.length === 1 ? answers[0]! : { kind: "list", items: answers, asConst: true };
  const indent = writer.indent + 2;
  const body = writeFunction(cx, inner, { items: loop.body, end, parameters: "()", indent: indent + 2 });
  const prefix = layerPrefix(loop.prefix, "$").replaceAll(/[`\\]|\$(?=\{)/g, "\\$&");
  const scoped = call("scope", text(`\`${prefix.slice(0, -1)}\${i}\``), body);
  const count = loop.first === 0 ? cx.sizeText("layers", loop.count) : String(loop.first + loop.count);
  statements.push({
    kind: "for",
    head: `let i = ${loop.first}; i < ${count}; i++`,
    body: turn(writer, scoped, variables, kept),
  });
  statements.push({ kind: "blank" });
  loop.carried.forEach(({ next }, i) => scope.name(next.at(-1)!, text(variables[i]!)));
  for (const { turns, name } of kept) turns.forEach((value, i) => scope.name(value, text(`${name}[${i}]!`)));
}

/** What one turn does with the answers of its layer. */
function turn({ cx }: BlockWriter, scoped: Code, variables: readonly string[], kept: readonly Kept[]) {
  const [only] = variables;
  if (variables.length === 1 && kept.length === 0) return [{ kind: "bind", target: only!, code: scoped }] as const;
  const push = ({ name }: Kept, code: Code) =>
    ({ kind: "do", code: { kind: "method", of: text(name), name: "push", args: [code] } }) as const;
  if (variables.length === 0 && kept.length === 1) return [push(kept[0]!, scoped)];
  const names = [...variables, ...kept.map(({ name }) => name)].map((name) => cx.identifiers.fresh(nextName(name)));
  return [
    { kind: "bind", target: `const [${names.join(", ")}]`, code: scoped } as const,
    ...variables.map((target, i) => ({ kind: "bind", target, code: text(names[i]!) }) as const),
    ...kept.map((one, i) => push(one, text(names[variables.length + i]!))),
  ];
}

const nextName = (name: string): string => `next${name[0]!.toUpperCase()}${name.slice(1)}`;

/** What is read after the loop and is not what it carries last. */
function keptOf(writer: BlockWriter, { body, turns, carried }: Loop): readonly Kept[] {
  const final = new Set(carried.map(({ next }) => next.at(-1)));
  return body.flatMap((item, at) =>
    item.node.results.flatMap((value, result) => {
      const values = turns.map((list) => list[at]!.node.results[result]!);
      if (!values.some((one) => writer.usesOf(one) > 0 && !final.has(one))) return [];
      const { cx } = writer;
      return { turns: values, name: cx.identifiers.fresh(plural(cx.authored(value) ?? cx.suggested(item, value))) };
    }),
  );
}

const plural = (name: string): string => (name.endsWith("s") ? `${name}List` : `${name}s`);
