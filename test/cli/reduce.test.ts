import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import type { VerifyReport } from "../../src/verify-report.ts";
import { buildTimeout, built, qkv, qkvRight, temporaryFolder } from "./support/command.ts";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

beforeAll(built, buildTimeout);

const text = `graph @probs(%x: f32[n, 5]) {
  %w: f32[7, 5] = param() {name = "w"}
  %h: f32[n, 7] = contract(%x, %w) {spec = "n i, o i -> n o"}
  %e: f32[n, 7] = exp(%h)
  %s: f32[n, 1] = reduceSum(%e) {axes = [1], keepDims = true}
  %y: f32[n, 7] = div(%e, %s)
  return %y
}
`;
const file = at("probs.ir");
writeFileSync(file, text);

test("a graph as text is verified like a model", async () => {
  const report = JSON.parse(await qkvRight(["verify", file, "--json"])) as VerifyReport;
  expect(report.model).toBe("probs");
  expect(report.guilty).toBeUndefined();
  expect(report.runs.flatMap(({ stages }) => stages.map(({ stage }) => stage))).toContain("fuse-attention");
});

test("the smallest graph in which a rule fires, as a folder", async () => {
  const said = await qkvRight(["reduce", file, "--fires", "softmax", "-o", at("fires")]);
  expect(said).toContain("4 operations became 3");
  const graph = readFileSync(at("fires/graph.ir"), "utf8");
  expect(graph).toContain("reduceSum");
  expect(graph).not.toContain("contract");
  expect(readFileSync(at("fires/README.md"), "utf8")).toContain("qkv explain graph.ir softmax");
  expect(await qkvRight(["explain", at("fires/graph.ir"), "softmax"])).toContain("fired");
});

test("the smallest graph a command refuses", async () => {
  await qkvRight(["reduce", file, "--check", "! grep -q exp graph.ir", "-o", at("command")]);
  const graph = readFileSync(at("command/graph.ir"), "utf8");
  expect(graph).toContain("exp(");
  expect(graph).not.toContain("div(");
});

test("where nothing fails it says so and writes nothing", async () => {
  const { code, stderr } = await qkv(["reduce", file, "-o", at("nothing")]);
  expect(code).toBe(2);
  expect(stderr).toContain("error[QKV512]: nothing to reduce: every stage of verify gives equal outputs");
  expect(existsSync(at("nothing"))).toBe(false);
  const taken = await qkv(["reduce", file, "-o", folder]);
  expect([taken.code, taken.stderr.includes("QKV507")]).toEqual([2, true]);
});

test("text that is no graph is refused with its place", async () => {
  writeFileSync(at("bad.ir"), text.replace("exp(%h)", "exp(%g)"));
  const { code, stderr } = await qkv(["print", at("bad.ir")]);
  expect([code, stderr.includes("bad.ir:4:23")]).toEqual([2, true]);
  expect((await qkv(["print", at("missing.ir")])).code).toBe(2);
});
