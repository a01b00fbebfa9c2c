import { beforeAll, expect, test } from "vitest";
import { probeRuntime, type RuntimeReport } from "../../../src/backends/ort/doctor.ts";

let report: RuntimeReport;
let calls = 0;
beforeAll(async () => {
  report = await probeRuntime(() => calls++);
});

test("says what the runtime is", () => {
  expect(report.version).toMatch(/^\d+\.\d+\.\d+$/);
  expect(report.opsetCeiling).toBeGreaterThanOrEqual(24);
  expect(report.providers.find(({ name }) => name === "cpu")).toEqual({ name: "cpu", usable: true });
  for (const { usable, reason } of report.providers) expect(usable).toBe(reason === undefined);
  expect(calls).toBe(report.probes.length);
});

test("the answers of the CPU", () => {
  const semantics = report.probes.filter(({ provider, name }) => provider === "cpu" && !name.includes("numerics"));
  expect(semantics.map(({ name, answer, ok }) => `${name}: ${answer} ${ok ? "✓" : "✗"}`)).toMatchInlineSnapshot(`
    [
      "attention-bool-mask: true attends ✓",
      "attention-causal-alignment: top left ✓",
      "attention-causal-past: yes ✓",
      "attention-masked-row: zeros ✓",
      "attention-softcap-order: yes ✓",
      "mha-padding-mask: 1 attends ✓",
      "gqa-window: 2 keys, itself among them ✓",
    ]
  `);
});

test("fused ops compute what they say on the CPU", () => {
  const numerics = report.probes.filter(({ provider, name }) => provider === "cpu" && name.includes("numerics"));
  expect(numerics).toHaveLength(5 * 7);
  expect(numerics.filter(({ ok }) => !ok)).toEqual([]);
});
