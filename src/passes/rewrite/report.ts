import type { Node } from "../../ir/graph.ts";
import type { PassContext, RuleNote } from "../pass.ts";
import type { Miss } from "./match.ts";

/** Where a node is in the author's source, and what they call it. */
export function noteOf(cx: Pick<PassContext, "arena">, node: Node): RuleNote {
  const value = node.results[0];
  const hint = value ? cx.arena.hintOf(value) : {};
  return {
    value: hint.name ?? node.op,
    ...(hint.location ? { location: hint.location } : {}),
  };
}

/** Reports why a rule did not fire at a node, and which node blocked it. */
export function reportMiss(cx: PassContext, rule: { readonly name: string }, node: Node, miss: Miss): void {
  const blocked = miss.at.node === node ? {} : { detail: `blocked by ${noteOf(cx, miss.at.node).value}` };
  cx.report.refused(rule.name, miss.reason, { ...noteOf(cx, node), depth: miss.depth, ...blocked });
}

/** The context for tidying up after a rewrite, which is not worth a tally. */
export const silent = (cx: PassContext): PassContext => ({
  ...cx,
  report: { fired: () => {}, refused: () => {}, note: () => {} },
});
