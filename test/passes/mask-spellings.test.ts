import { describe, expect, it } from "vitest";
import { randomFeeds } from "../../src/feeds.ts";
import { Arena } from "../../src/ir/arena.ts";
import { nodesOf } from "../../src/ir/graph.ts";
import { printGraph } from "../../src/ir/print.ts";
import { verifyGraph } from "../../src/ir/verify.ts";
import { verifyEach } from "../../src/passes/instruments.ts";
import { passesNamed, runPipeline } from "../../src/passes/pipeline.ts";
import { spelled } from "../support/mask-spellings.ts";
import { contextOf, differenceOfNumbers, evaluated, sizesFor, weightsFor } from "./support/context.ts";

/** How many spellings are tried; all that `QKV_SPELLINGS` says in a long run. */
const count = Number(process.env.QKV_SPELLINGS ?? 250);
const passes = passesNamed(["canonicalise", "fuse-attention"]);
describe("masks in every spelling", () => {
  it("keep what rows that see nothing are", async () => {
    let found = 0;
    const wrong: string[] = [];
    for (let seed = 0; seed < count; seed++) {
      const arena = new Arena();
      const { graph, text } = spelled(arena, seed);
      const { graph: after } = await runPipeline(graph, passes, contextOf({ arena }), [
        verifyEach((made) => verifyGraph(made)),
      ]);
      if (nodesOf(after).some(({ op }) => op === "attention" || op === "if")) found++;
      const sizes = sizesFor(graph);
      const weights = weightsFor(graph);
      for (const draw of [1, 2, 3]) {
        const feeds = randomFeeds(graph, sizes, 1000 * seed + draw, "masked");
        const wanted = evaluated(graph, sizes, feeds, weights).get("o")!;
        const apart = differenceOfNumbers(wanted, evaluated(after, sizes, feeds, weights).get("o")!);
        if (apart < 1e-6) continue;
        wrong.push(`seed ${seed}: ${text}: ${apart}\n${process.env.QKV_SPELLINGS ? printGraph(after, { arena }) : ""}`);
        break;
      }
    }
    expect(wrong).toEqual([]);
    expect(found).toBeGreaterThan(count / 2);
  });
});
