import { describe, expect, it } from "vitest";
import { Arena, attrsOf, graphOf, opDef } from "../../src/ir/arena.ts";
import { foldableNodes } from "../../src/ir/constness.ts";
import { costOf } from "../../src/ir/cost.ts";
import { evaluate } from "../../src/ir/dim.ts";
import { isFloat } from "../../src/ir/dtype.ts";
import { type Graph, nodesOf } from "../../src/ir/graph.ts";
import type { OpName } from "../../src/ir/ops/index.ts";
import { parseGraph } from "../../src/ir/parse.ts";
import { printGraph } from "../../src/ir/print.ts";
import { elementCount, fromNumbers } from "../../src/ir/tensor.ts";
import { canonicaliseRules } from "../../src/passes/canonicalise.ts";
import { tallying } from "../../src/passes/pass.ts";
import type { Matcher } from "../../src/passes/rewrite/fuse.ts";
import { normalise } from "../../src/passes/rewrite/normalise.ts";
import type { Rule } from "../../src/passes/rewrite/rule.ts";
import { rootOps } from "../../src/passes/rewrite/term.ts";
import { rulesByPass } from "../../src/passes/rules/index.ts";
import { naiveTarget, targets } from "../../src/passes/target.ts";
import { contextOf, difference, evaluated, feedsFor, weightsFor } from "./support/context.ts";
import { goldens } from "./support/golden.ts";
import { Sample, type SampleForm } from "./support/instantiate.ts";

/** Ops a rule starts from; undefined for what is only described as a rule. */
function rootsOf(rule: object): readonly string[] | undefined {
  if ("left" in rule) return rootOps((rule as Rule).left);
  return "roots" in rule ? (rule as Matcher).roots : undefined;
}

/** Integers that products, quotients and remainders tell apart; no 0 to divide by. */
const wholeFeeds = (graph: Graph) =>
  new Map(
    graph.inputs.map(({ node, type }, i) => {
      const { name } = attrsOf(node, "input");
      const dims = type.shape.map(Number);
      const numbers = Array.from({ length: elementCount(dims) }, (_, at) => ((at * 7 + i * 5) % 11) + 1);
      return [name, fromNumbers(type.dtype, dims, numbers)] as const;
    }),
  );

/** Runs one rule alone. */
function only(rule: Rule, form: SampleForm) {
  const arena = new Arena();
  const sample = new Sample(arena, form);
  const root = sample.build(rule.left);
  const graph = graphOf(
    "sample",
    sample.inputs,
    root.node.results.map((value, i) => [`r${i}`, value] as const),
  );
  const { report, tally } = tallying();
  const after = normalise(graph, [rule], { ...contextOf({ arena }), report });
  return { arena, graph, after, fired: tally().fired.get(rule.name) ?? 0 };
}

describe("every rule", () => {
  const all = [...rulesByPass].flatMap(([pass, rules]) => rules.map((rule) => ({ pass, rule })));

  it("has a name of its own and a formula", () => {
    const names = all.map(({ rule }) => rule.name);
    expect(new Set(names).size).toBe(names.length);
    for (const { rule } of all) expect(rule.formula, rule.name).not.toBe("");
  });

  const everyTarget = [naiveTarget(), ...[...targets.values()].flatMap((make) => [make(17), make(23)])];
  const kernelsFor = (op: string) => everyTarget.filter(({ kernels }) => kernels.has(op as OpName)).length;
  /** A composite that every target has. */
  const neverFires = (name: string) => kernelsFor(name.replace(/^decompose-/, "")) === everyTarget.length;
  /** Applies wherever its root is. */
  const alwaysFires = (name: string) =>
    name === "einsum-contract" || (name.startsWith("decompose-") && kernelsFor(name.replace("decompose-", "")) === 0);

  it.each(all.map(({ pass, rule }) => [rule.name, pass] as const))(
    "%s has a golden where it fires and a twin where it does not",
    (name, pass) => {
      const own = goldens.filter((golden) => golden.pass === pass);
      const fires = own.some(({ fired }) => fired.has(name));
      const refuses = own.some(({ twinOf }) => twinOf.includes(name));
      expect(fires || neverFires(name), "a golden").toBe(true);
      expect(refuses || alwaysFires(name), "a twin").toBe(true);
    },
  );

  it.each(goldens.filter(({ twinOf }) => twinOf.length > 0).map((golden) => [golden.path, golden] as const))(
    "is tried on its twin: %s",
    (_, { twinOf, source, result }) => {
      const present = new Set([...`${source}\n${result}`.matchAll(/ = (\w+)\(/g)].map(([, op]) => op));
      for (const name of twinOf) {
        const found = all.find(({ rule }) => rule.name === name);
        expect(found, name).toBeDefined();
        const isTried = rootsOf(found!.rule)?.some((op) => present.has(op)) ?? true;
        expect(isTried, name).toBe(true);
      }
    },
  );
});

describe("canonical rules", () => {
  const silentAlone = new Set(goldens.filter(({ pass }) => pass === "canonicalise").flatMap(({ fired }) => [...fired]));

  it.each(canonicaliseRules.map((rule) => [rule.name, rule] as const))("%s", (name, rule) => {
    const runs = [false, true].flatMap((constant) => {
      try {
        return [only(rule, { constant, dtype: "f32", spelling: 0 })];
      } catch {
        return [];
      }
    });
    const run = runs.find(({ fired }) => fired > 0);
    expect(run !== undefined || silentAlone.has(name), `${name} fires nowhere`).toBe(true);
    if (!run) return;
    const { graph, after } = run;
    const none = new Map<string, number>();
    const feeds = feedsFor(graph, none);
    const weights = weightsFor(graph);
    const expected = evaluated(graph, none, feeds, weights);
    for (const [output, value] of evaluated(after, none, feeds, weights))
      expect(difference(expected.get(output)!, value)).toBeLessThan(1e-6);
    expect(after.outputs.map(({ value }) => value.type)).toEqual(graph.outputs.map(({ value }) => value.type));
    // A power counts as one operation, as every op on elements does; it takes many times a division and a root.
    if (name === "pow-minus-half") return;
    expect(evaluate(costOf(after).flops, none)).toBeLessThanOrEqual(evaluate(costOf(graph).flops, none));
  });

  const types = ["f64", "f32", "f16", "i64", "i32", "i8", "u8", "bool"] as const;
  const everyForm = types.flatMap((dtype) =>
    [false, true].flatMap((constant) => [0, 1].map((spelling): SampleForm => ({ dtype, constant, spelling }))),
  );

  it.each(canonicaliseRules.map((rule) => [rule.name, rule] as const))("of every type: %s", (_, rule) => {
    for (const form of everyForm) {
      let run: ReturnType<typeof only>;
      try {
        run = only(rule, form);
      } catch {
        // There is no such op of this type.
        continue;
      }
      const { graph, after, fired } = run;
      if (fired === 0) continue;
      const none = new Map<string, number>();
      const feeds = isFloat(form.dtype) ? feedsFor(graph, none) : wholeFeeds(graph);
      const expected = evaluated(graph, none, feeds, weightsFor(graph));
      // Constants are rounded to their type.
      const most = !isFloat(form.dtype) ? 0 : form.dtype === "f16" ? 2e-3 : 1e-6;
      for (const [output, value] of evaluated(after, none, feeds, weightsFor(graph)))
        expect(difference(expected.get(output)!, value), JSON.stringify(form)).toBeLessThanOrEqual(most);
    }
  });

  it.each(goldens.map(({ path, source }) => [path, source] as const))(
    "do not depend on their order: %s",
    (_, source) => {
      const shown = [canonicaliseRules, canonicaliseRules.toReversed()].map((rules) => {
        const arena = new Arena();
        const graph = parseGraph(source, arena);
        const { report } = tallying();
        const after = normalise(graph, rules, { ...contextOf({ arena }), report });
        expect(normalise(after, rules, { ...contextOf({ arena }), report })).toBe(after);
        return printGraph(after);
      });
      expect(shown[1]).toBe(shown[0]);
    },
  );
});

describe("passes", () => {
  it.each(goldens.map(({ path, source, result }) => [path, source, result] as const))(
    "never compute in more nodes: %s",
    (path, source, result) => {
      // Decomposing is not about cost, reordering, chunks, masks and padding about operations and scheduling about memory rather than nodes;
      // widening writes down the casts that the runtime makes by itself; constants written as digests cannot be read back here.
      if (/\/(legalise|linearise|mask|reassociate|schedule|unpad|widen)\//.test(path) || /#[0-9a-f]{16}/.test(result))
        return;
      // Rows are picked much faster than they are added up by index.
      if (/sum-in-order/.test(path)) return;
      // An attention is worth the few nodes that tell which rows see nothing, and that keep a bias above the lowest number.
      if (/fuse-attention/.test(path) && / mask = "| (if|max|reduceMin)\(/.test(result)) return;
      const computing = (text: string) => {
        const graph = parseGraph(text, new Arena());
        const foldable = foldableNodes(graph);
        return nodesOf(graph).filter(
          (node) => !foldable.has(node) && !/leaf|movement/.test(opDef(node.op).traits.join()),
        ).length;
      };
      expect(computing(result)).toBeLessThanOrEqual(computing(source));
    },
  );
});
