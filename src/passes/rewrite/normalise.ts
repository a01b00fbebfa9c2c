import type { Arena } from "../../ir/arena.ts";
import { fail } from "../../ir/diagnostics.ts";
import { type Graph, type Node, nodesOf, type Value } from "../../ir/graph.ts";
import type { PassContext } from "../pass.ts";
import { type Miss, mayMatch, tryRule } from "./match.ts";
import { reportMiss } from "./report.ts";
import type { Rule } from "./rule.ts";
import { aheadOfSteps, isElementwise } from "./steps.ts";
import { inheritAll, withBranches, withOutputs } from "./substitute.ts";
import { rootOps } from "./term.ts";
import { trying } from "./trying.ts";

/** Firings allowed per node of the graph: far more than any sensible set of rules needs. */
const fuelPerNode = 64;
const recentFirings = 8;
const roundedBehind = "behind it whole numbers are made, or a comparison: no bit may change";

/** Rules by the op at their root, in their order. */
export function indexRules(rules: readonly Rule[]): ReadonlyMap<string, readonly Rule[]> {
  const index = new Map<string, Rule[]>();
  for (const rule of rules)
    for (const op of rootOps(rule.left) ?? []) {
      const list = index.get(op);
      if (list) list.push(rule);
      else index.set(op, [rule]);
    }
  return index;
}

/**
 * Applies rules bottom-up until none fires. What a rule makes is itself rewritten. Iterative, each node once; throws
 * QKV302 naming the rules where they do not come to an end.
 */
export function normalise(graph: Graph, rules: readonly Rule[], cx: PassContext): Graph {
  const active = rules.filter((rule) => !cx.options.without.has(rule.name));
  const run = new Normaliser(indexRules(active), cx);
  const result = run.graph(graph);
  run.report(result);
  return result;
}

class Normaliser {
  readonly #rules: ReadonlyMap<string, readonly Rule[]>;
  readonly #cx: PassContext;
  readonly #arena: Arena;
  /** What a node's results have become, once nothing fires on them any more. */
  readonly #done = new Map<Node, readonly Value[]>();
  /** What a node's results were replaced by, which is still to be rewritten itself. */
  readonly #forward = new Map<Node, readonly Value[]>();
  /** How many values of a list are known to be done. */
  readonly #checked = new Map<readonly Value[], number>();
  readonly #misses = new Map<Node, Map<Rule, Miss>>();
  /** Nodes in whose results a last bit matters. */
  readonly #aheadOfSteps = new Set<Node>();
  readonly #recent: string[] = [];
  #fuel = 0;

  constructor(rules: ReadonlyMap<string, readonly Rule[]>, cx: PassContext) {
    this.#rules = rules;
    this.#cx = cx;
    this.#arena = cx.arena;
  }

  graph(graph: Graph): Graph {
    this.#fuel += fuelPerNode * (nodesOf(graph).length + 1);
    for (const node of aheadOfSteps(graph)) this.#aheadOfSteps.add(node);
    return withOutputs(graph, (value) => this.#rewrite(value));
  }

  /** Refusals of what is still there at the end; what another rule rewrote meanwhile is of no interest. */
  report(result: Graph): void {
    for (const node of nodesOf(result))
      for (const [rule, miss] of this.#misses.get(node) ?? []) reportMiss(this.#cx, rule, node, miss);
  }

  #rewrite(root: Value): Value {
    const stack = [root.node];
    const open = new Set<Node>();
    while (stack.length > 0) {
      const node = stack.at(-1)!;
      if (this.#done.has(node)) {
        stack.pop();
        continue;
      }
      open.add(node);
      const waiting = this.#waitingFor(node);
      if (waiting) {
        if (open.has(waiting)) this.#endless();
        stack.push(waiting);
        continue;
      }
      if (this.#step(node)) {
        open.delete(node);
        stack.pop();
      }
    }
    return this.#final(root);
  }

  /** A node that must be finished before this one can go on. */
  #waitingFor(node: Node): Node | undefined {
    const values = this.#forward.get(node) ?? node.operands;
    // What is done stays done: a node of many operands is looked through once.
    const known = this.#checked.get(values) ?? 0;
    let at = known;
    while (at < values.length && this.#done.has(values[at]!.node)) at++;
    if (at > known) this.#checked.set(values, at);
    return values[at]?.node;
  }

  /** Takes a node one step further; true where it is finished. */
  #step(node: Node): boolean {
    const forward = this.#forward.get(node);
    if (forward) {
      this.#done.set(
        node,
        forward.map((value) => this.#final(value)),
      );
      return true;
    }
    const rebuilt = withBranches(
      this.#arena.rebuild(
        node,
        node.operands.map((value) => this.#final(value)),
      ),
      this.#arena,
      (branch) => this.graph(branch),
    );
    const next = rebuilt === node ? this.#fire(node) : rebuilt.results;
    if (!next) {
      this.#done.set(node, node.results);
      return true;
    }
    inheritAll(this.#arena, node.results, next);
    if (this.#aheadOfSteps.has(node)) this.#followSteps(next);
    this.#forward.set(node, next);
    return false;
  }

  /** What took the place of a node is ahead of the same steps, down to what was there before. */
  #followSteps(values: readonly Value[]): void {
    const pending = values.map((value) => value.node);
    for (let node = pending.pop(); node; node = pending.pop()) {
      if (this.#done.has(node) || this.#aheadOfSteps.has(node)) continue;
      this.#aheadOfSteps.add(node);
      pending.push(...node.operands.map((operand) => operand.node));
    }
  }

  #fire(node: Node): readonly Value[] | undefined {
    for (const rule of this.#rules.get(node.op) ?? []) {
      if (!mayMatch(rule.left, node.results[0]!)) continue;
      const outcome = trying(this.#cx, rule.name, node, () =>
        tryRule(rule, node.results[0]!, this.#arena, this.#cx.target),
      );
      if (!outcome) continue;
      if ("found" in outcome) {
        if (rule.tolerance !== "exact" && isElementwise(node) && this.#aheadOfSteps.has(node)) {
          this.#remember(node, rule, {
            depth: outcome.found.covered.length,
            reason: roundedBehind,
            at: node.results[0]!,
          });
          continue;
        }
        if (!this.#cx.options.allows(rule.name, node)) continue;
        this.#cx.report.fired(rule.name);
        this.#burn(rule);
        return outcome.found.values;
      }
      if (outcome.miss && rule.guard) this.#remember(node, rule, outcome.miss);
    }
    return undefined;
  }

  #remember(node: Node, rule: Rule, miss: Miss): void {
    if (miss.at !== node.results[0]) return;
    const misses = this.#misses.get(node) ?? new Map<Rule, Miss>();
    this.#misses.set(node, misses.set(rule, miss));
  }

  #burn(rule: Rule): void {
    this.#recent.push(rule.name);
    if (this.#recent.length > recentFirings) this.#recent.shift();
    if (--this.#fuel < 0) this.#endless();
  }

  #endless(): never {
    const names = [...new Set(this.#recent)];
    return fail("QKV302", `the rules ${names.join(", ")} rewrite into one another without end`);
  }

  #final(value: Value): Value {
    return this.#done.get(value.node)![value.index]!;
  }
}
