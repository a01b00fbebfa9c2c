import { holdsGraphs } from "../../ir/cost.ts";
import { type Graph, type Node, nodesOf, type Uses, usesOf, type Value } from "../../ir/graph.ts";
import type { PassContext } from "../pass.ts";
import { isFoldable } from "./foldable.ts";
import { type Accept, type Miss, tryRule } from "./match.ts";
import { indexRules } from "./normalise.ts";
import { reportMiss } from "./report.ts";
import type { Rule } from "./rule.ts";
import { scalarOf } from "./scalar.ts";
import { inheritAll, substitute, withBranches } from "./substitute.ts";
import { trying } from "./trying.ts";

/** What a matcher found at a root. */
export interface Fusion {
  /** One value for each result of the root. */
  readonly values: readonly Value[];
  /** Values of other nodes the fusion computes as well, with what they become. */
  readonly also?: readonly (readonly [from: Value, to: Value])[];
  /** Nodes that vanish, the root among them. */
  readonly covered: readonly Node[];
}

/** A fusion found by analysis rather than by a term: rules for what has too many spellings to write down. */
export interface Matcher {
  readonly name: string;
  readonly formula: string;
  readonly roots: readonly string[];
  /** Reasons it gives, for documentation. */
  readonly refuses: readonly string[];
  /** Undefined where the root is no candidate at all. */
  match(root: Node, cx: FuseContext): Fusion | Miss | undefined;
}

export interface FuseContext extends PassContext {
  readonly uses: Uses;
  readonly exclusive: Accept;
  /** The node that holds the graph, where one does. */
  readonly holder: Node | undefined;
  /** The name of the graph. */
  readonly within: string;
}

const maxSweeps = 64;
const cheap: ReadonlySet<string> = new Set(["reshape", "transpose", "broadcast", "slice", "iota", "cast"]);

/** Nodes that cost nothing to keep for another user: they do not block a fusion. */
const isCheap = (node: Node): boolean =>
  node.operands.length === 0 ||
  cheap.has(node.op) ||
  (node.results[0] !== undefined && (scalarOf(node.results[0]) !== undefined || isFoldable(node.results[0])));

/** Refuses where a covered node other than the root is also needed outside of the pattern. */
export const exclusiveIn =
  (uses: Uses): Accept =>
  ([root, ...interior]) => {
    const covered = new Set([root, ...interior]);
    // What only moves elements is made again in place of being kept, but not what it moves.
    const costs = (node: Node): boolean =>
      !isCheap(node) || node.operands.some((operand) => covered.has(operand.node) && costs(operand.node));
    for (const node of interior) {
      if (!costs(node)) continue;
      for (const value of node.results) {
        if (uses.outputs.has(value)) return { reason: `\`${node.op}\` is also a graph output`, at: value };
        if (uses.users.get(value)?.some((use) => !covered.has(use.node)))
          return { reason: `\`${node.op}\` is also used outside the pattern`, at: value };
      }
    }
    return undefined;
  };

/**
 * Applies fusions in sweeps: matches are found on a graph whose uses are known, those that do not overlap are put in
 * together, until a sweep finds none. Deterministic: operands come before their users, rules in their order.
 */
export function fuse(graph: Graph, list: readonly (Rule | Matcher)[], cx: PassContext): Graph {
  const active = list.filter((entry) => !cx.options.without.has(entry.name));
  const matchers = indexMatchers(active.map((entry) => ("left" in entry ? fromRule(entry) : entry)));
  return fuseGraph(graph, matchers, cx);
}

function fuseGraph(
  graph: Graph,
  matchers: ReadonlyMap<string, readonly Matcher[]>,
  cx: PassContext,
  holder?: Node,
): Graph {
  const nodes = nodesOf(graph);
  if (!nodes.some((node) => matchers.has(node.op) || holdsGraphs(node))) return graph;
  let current = fuseBranches(graph, nodes, matchers, cx);
  for (let sweep = 0; sweep < maxSweeps; sweep++) {
    const { replaced, misses } = findAll(current, matchers, cx, holder);
    if (replaced.size === 0) {
      for (const { matcher, node, miss } of misses) reportMiss(cx, matcher, node, miss);
      return current;
    }
    current = substitute(current, replaced, cx.arena);
  }
  return current;
}

function fuseBranches(
  graph: Graph,
  nodes: readonly Node[],
  matchers: ReadonlyMap<string, readonly Matcher[]>,
  cx: PassContext,
): Graph {
  const replaced = new Map<Value, Value>();
  for (const node of nodes) {
    const next = withBranches(node, cx.arena, (branch) => fuseGraph(branch, matchers, cx, node));
    if (next !== node) node.results.forEach((value, i) => replaced.set(value, next.results[i]!));
  }
  return substitute(graph, replaced, cx.arena);
}

interface Sweep {
  readonly replaced: ReadonlyMap<Value, Value>;
  readonly misses: readonly { readonly matcher: Matcher; readonly node: Node; readonly miss: Miss }[];
}

function findAll(
  graph: Graph,
  matchers: ReadonlyMap<string, readonly Matcher[]>,
  cx: PassContext,
  holder: Node | undefined,
): Sweep {
  const uses = usesOf(graph);
  const fuseCx: FuseContext = { ...cx, uses, exclusive: exclusiveIn(uses), holder, within: graph.name };
  const replaced = new Map<Value, Value>();
  const taken = new Set<Node>();
  const misses: { matcher: Matcher; node: Node; miss: Miss }[] = [];
  for (const node of nodesOf(graph))
    for (const matcher of matchers.get(node.op) ?? []) {
      const outcome = trying(cx, matcher.name, node, () => matcher.match(node, fuseCx));
      if (!outcome) continue;
      if ("reason" in outcome) {
        misses.push({ matcher, node, miss: outcome });
        continue;
      }
      if (outcome.covered.some((covered) => taken.has(covered) && !isCheap(covered))) continue;
      if (outcome.also && leadsBack(node, outcome, replaced)) {
        misses.push({
          matcher,
          node,
          miss: { depth: outcome.covered.length, reason: leadsToItself, at: node.results[0]! },
        });
        continue;
      }
      if (!cx.options.allows(matcher.name, node)) continue;
      accept(node, outcome, replaced, taken, cx);
      cx.report.fired(matcher.name);
      break;
    }
  return { replaced, misses };
}

const leadsToItself = "what is computed together needs one of its own results";

const pairsOf = (node: Node, { values, also = [] }: Fusion): readonly (readonly [from: Value, to: Value])[] =>
  [...node.results.map((value, i) => [value, values[i]!] as const), ...also].filter(([from, to]) => from !== to);

/** Whether what takes the place of several values is made of one of them, as where a result is an operand of another. */
function leadsBack(node: Node, fusion: Fusion, replaced: ReadonlyMap<Value, Value>): boolean {
  const pairs = pairsOf(node, fusion);
  const own = new Set(pairs.map(([from]) => from));
  const open = new Set(pairs.map(([, to]) => to));
  for (const value of open) {
    if (own.has(value)) return true;
    const other = replaced.get(value);
    for (const below of other ? [other] : value.node.operands) open.add(below);
  }
  return false;
}

function accept(node: Node, fusion: Fusion, replaced: Map<Value, Value>, taken: Set<Node>, cx: PassContext): void {
  for (const covered of fusion.covered) taken.add(covered);
  for (const [from, to] of pairsOf(node, fusion)) replaced.set(from, to);
  inheritAll(cx.arena, node.results, fusion.values);
}

function indexMatchers(list: readonly Matcher[]): ReadonlyMap<string, readonly Matcher[]> {
  const index = new Map<string, Matcher[]>();
  for (const matcher of list) for (const op of matcher.roots) index.set(op, [...(index.get(op) ?? []), matcher]);
  return index;
}

/** How much of a pattern must have matched before a miss is worth telling. */
const tellingDepth = 3;

function fromRule(rule: Rule): Matcher {
  return {
    name: rule.name,
    formula: rule.formula,
    roots: [...indexRules([rule]).keys()],
    refuses: rule.refuses ?? [],
    match(root, cx) {
      const accept = rule.kind === "fusion" ? cx.exclusive : undefined;
      const outcome = tryRule(rule, root.results[0]!, cx.arena, cx.target, accept);
      if ("found" in outcome) return outcome.found;
      const { miss } = outcome;
      return miss && (miss.complete || miss.depth >= tellingDepth) ? miss : undefined;
    },
  };
}
