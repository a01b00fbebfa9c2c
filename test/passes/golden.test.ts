import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { randomFeeds } from "../../src/feeds.ts";
import { Arena } from "../../src/ir/arena.ts";
import { parseGraph } from "../../src/ir/parse.ts";
import { constantTable, printGraph } from "../../src/ir/print.ts";
import { verifyGraph } from "../../src/ir/verify.ts";
import { type PassStep, verifyEach } from "../../src/passes/instruments.ts";
import { passesNamed, runPipeline } from "../../src/passes/pipeline.ts";
import { roundingTolerance } from "../../src/rounding.ts";
import {
  contextOf,
  difference,
  differenceOfNumbers,
  evaluated,
  feedsFor,
  sizesFor,
  weightsFor,
} from "./support/context.ts";
import { goldens } from "./support/golden.ts";

// Bless with `npx vitest run test/passes/golden.test.ts -u`.
const root = fileURLToPath(new URL("../../", import.meta.url));

const tallies = (steps: readonly PassStep[]): readonly string[] =>
  steps.flatMap(({ pass, tally }) => [
    ...[...tally.fired].map(([rule, count]) => `// ${pass.name}: ${rule} x${count}`),
    ...[...tally.refused].flatMap(([rule, reasons]) =>
      [...reasons].map(([reason, count]) => `// ${pass.name}: ${rule} refused x${count}: ${reason}`),
    ),
  ]);

describe("golden", () => {
  it.each(goldens.map((golden) => [golden.path, golden] as const))("%s", async (path, golden) => {
    const { header, names, target, weights, dims, twinOf, source } = golden;
    const arena = new Arena();
    const graph = parseGraph(source, arena);
    const reader = weightsFor(graph);
    const cx = contextOf({ arena, target, dims, ...(weights ? { weights: reader } : {}) });
    const list = passesNamed(names);
    const { graph: after, steps } = await runPipeline(graph, list, cx, [verifyEach((made) => verifyGraph(made))]);

    const sizes = sizesFor(graph);
    const feeds = feedsFor(graph, sizes);
    // Constants of half precision may be taken for the numbers they stand for.
    const most = roundingTolerance(graph) ? 1e-4 : 1e-6;
    const expected = evaluated(graph, sizes, feeds, reader);
    for (const [name, value] of evaluated(after, sizes, feeds, reader))
      expect(difference(expected.get(name)!, value), `${name} of ${path}`).toBeLessThan(most);

    for (const seed of [1, 2, 3]) {
      const masked = randomFeeds(graph, sizes, seed, "masked");
      const wanted = evaluated(graph, sizes, masked, reader);
      for (const [name, value] of evaluated(after, sizes, masked, reader))
        expect(differenceOfNumbers(wanted.get(name)!, value), `${name} of ${path}, seed ${seed}`).toBeLessThan(most);
    }

    const printed = printGraph(after, { arena });
    const fresh = new Arena();
    expect(
      printGraph(parseGraph(printed, fresh, { constants: constantTable(after) }), { arena: fresh }),
      "round trip",
    ).toBe(printed);
    const again = await runPipeline(after, list, cx);
    expect(printGraph(again.graph, { arena }), "idempotent").toBe(printed);
    for (const rule of twinOf)
      for (const { tally } of steps) expect([...tally.fired.keys()], `a twin of ${rule}`).not.toContain(rule);
    const output = [header, source, "// -----", printed.trimEnd(), ...tallies(steps)];
    await expect(`${output.join("\n")}\n`).toMatchFileSnapshot(`${root}${path}`);
  });
});
