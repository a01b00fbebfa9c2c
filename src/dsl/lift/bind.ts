import type { ts } from "ts-morph";
import { loadTypeScript } from "../source.ts";
import { keyOf, lifted } from "./expressions.ts";
import { refuse } from "./function-source.ts";
import { describeLifted, type Lifted, type Lifting, nothing, type Scope } from "./lifted.ts";
import { elementsOf, propertyOf } from "./tables.ts";

/** What names of a pattern are given to: a declaration makes variables, an assignment changes them. */
export type Give<Target> = (target: Target, value: Lifted) => void;

/** What stands at one place of a pattern. */
interface Part<Target> {
  readonly target: Target;
  readonly initializer: ts.Expression | undefined;
  readonly rest: boolean;
  /** In objects. */
  readonly key?: ts.PropertyName;
}

/** The value, or the initializer where it is undefined. */
export const withDefault = (
  cx: Lifting,
  value: Lifted,
  initializer: ts.Expression | undefined,
  scope: Scope,
): Lifted => (value.kind === "nothing" && initializer ? lifted(cx, initializer, scope) : value);

/** Declares the names of a pattern. Throws QKV141, QKV143. */
export function bind(
  cx: Lifting,
  name: ts.BindingName,
  value: Lifted,
  scope: Scope,
  fixed: boolean,
  home = scope,
): void {
  const t = loadTypeScript();
  if (t.isIdentifier(name)) return void home.variables.set(name.text, { value, fixed, depth: cx.depth });
  const parts = name.elements.map((element) =>
    t.isBindingElement(element)
      ? {
          target: element.name,
          initializer: element.initializer,
          rest: element.dotDotDotToken !== undefined,
          key: (element.propertyName ?? element.name) as ts.PropertyName,
        }
      : undefined,
  );
  const give: Give<ts.BindingName> = (target, part) => bind(cx, target, part, scope, fixed, home);
  if (t.isArrayBindingPattern(name)) takeItems(cx, name, value, parts, scope, give);
  else takeMembers(cx, name, value, parts, scope, give);
}

/** `[a, b = 1, ...rest]` of a list. */
export function takeItems<Target>(
  cx: Lifting,
  node: ts.Node,
  value: Lifted,
  parts: readonly (Part<Target> | undefined)[],
  scope: Scope,
  give: Give<Target>,
): void {
  const items =
    elementsOf(cx, value) ?? refuse("QKV143", `${describeLifted(value)} cannot be taken apart as a list`, node);
  parts.forEach((part, i) => {
    if (!part) return;
    const item: Lifted = part.rest ? { kind: "list", items: items.slice(i) } : (items[i] ?? nothing);
    give(part.target, withDefault(cx, item, part.initializer, scope));
  });
}

/** `{ a, b: c = 1, ...rest }` of an object. */
export function takeMembers<Target extends ts.Node>(
  cx: Lifting,
  node: ts.Node,
  value: Lifted,
  parts: readonly (Part<Target> | undefined)[],
  scope: Scope,
  give: Give<Target>,
): void {
  if (!["record", "live", "member", "list", "row"].includes(value.kind))
    refuse("QKV143", `${describeLifted(value)} cannot be taken apart`, node);
  const taken = new Set<string>();
  for (const part of parts) {
    if (!part) continue;
    if (part.rest) {
      if (value.kind !== "record") refuse("QKV143", "the rest of this has no formula", part.target);
      const rest = [...value.entries].filter(([entry]) => !taken.has(entry));
      give(part.target, { kind: "record", entries: new Map(rest) });
      continue;
    }
    const name = keyOf(cx, part.key!, scope) ?? refuse("QKV143", "this pattern has no formula", part.target);
    taken.add(name);
    const optional = part.initializer !== undefined && value.kind === "record" && !value.entries.has(name);
    const member = optional ? nothing : propertyOf(cx, value, name, part.target);
    give(part.target, withDefault(cx, member, part.initializer, scope));
  }
}
