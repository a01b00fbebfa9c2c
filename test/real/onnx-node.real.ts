import { join } from "node:path";
import { expect, test } from "vitest";
import { casesIn, type Outcome, runCase } from "../import/node-cases.ts";
import { sharedFixtures } from "../import/support.ts";

const folder = sharedFixtures("onnx-node");

/** How many ended so, for each operator and reason. */
function table(outcomes: readonly Outcome[]): string {
  const counts = new Map<string, number>();
  for (const { kind, reason } of outcomes) {
    const row = `${kind.padEnd(9)} ${(reason ?? "").slice(0, 150)}`;
    counts.set(row, (counts.get(row) ?? 0) + 1);
  }
  const rows = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  return rows.map(([row, count]) => `${String(count).padStart(5)} ${row}`).join("\n");
}

test.skipIf(!folder)(
  "the ONNX project's node tests give their stored outputs (needs the shared fixtures)",
  async () => {
    const outcomes: (Outcome & { readonly name: string })[] = [];
    for (const name of casesIn(folder!)) outcomes.push({ name, ...(await runCase(join(folder!, name))) });
    console.info(table(outcomes));
    expect(outcomes.filter(({ kind }) => kind === "failed")).toEqual([]);
  },
);
