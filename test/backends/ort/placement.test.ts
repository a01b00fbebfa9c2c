import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { concreteSpecs, nodePlacement, parseProfile, strayNodes } from "../../../src/backends/ort/placement.ts";
import { availableProviders, isExecutionProvider, requireProvider } from "../../../src/backends/ort/providers.ts";
import { openSession, runtimeInfo } from "../../../src/backends/ort/session.ts";
import { tinyModel, unary } from "./support/tiny-onnx.ts";

const chain = (names: readonly string[]): Uint8Array =>
  tinyModel({
    inputs: [{ name: "x", dtype: "f32", shape: ["batch", "seq"] }],
    outputs: [{ name: "y", dtype: "f32", shape: ["batch", "seq"] }],
    nodes: names.map((name, i) => ({
      op: i % 2 === 0 ? "Neg" : "Exp",
      inputs: [i === 0 ? "x" : `v${i}`],
      outputs: [i === names.length - 1 ? "y" : `v${i + 1}`],
      name,
    })),
  });

const profileFolders = () => readdirSync(tmpdir()).filter((name) => name.startsWith("qkv-profile-")).length;

test("every node of a CPU session ran on the CPU", async () => {
  const before = profileFolders();
  const placement = await nodePlacement(chain(["first", "second", "third"]), { level: "disabled" });
  expect(placement.counts).toEqual(new Map([["CPUExecutionProvider", 3]]));
  expect(placement.nodes).toEqual([
    { name: "first", opType: "Neg", provider: "CPUExecutionProvider" },
    { name: "second", opType: "Exp", provider: "CPUExecutionProvider" },
    { name: "third", opType: "Neg", provider: "CPUExecutionProvider" },
  ]);
  expect(strayNodes(placement, "CPUExecutionProvider")).toEqual([]);
  expect(strayNodes(placement, "WebGpuExecutionProvider")).toHaveLength(3);
  expect(profileFolders()).toBe(before);
});

test("names that break the runtime's own JSON, and no names", async () => {
  const placement = await nodePlacement(chain(['a"b\\', "", ""]), { level: "disabled" });
  expect(placement.nodes.map(({ opType }) => opType)).toEqual(["Neg", "Exp", "Neg"]);
  expect(placement.nodes[0]?.name).toBe('a"b\\');
});

test("the profile's folder goes away when the run fails", async () => {
  const before = profileFolders();
  await expect(nodePlacement(chain(["a"]), { feeds: new Map() })).rejects.toMatchObject({ code: "QKV442" });
  await expect(nodePlacement(Uint8Array.of(9))).rejects.toMatchObject({ code: "QKV441" });
  expect(profileFolders()).toBe(before);
});

test("dimension symbols take the given sizes", () => {
  const inputs = [{ name: "x", dtype: "f32", shape: ["batch", "", 7] }] as const;
  expect(concreteSpecs(inputs, new Map([["batch", 5]]))).toEqual([{ name: "x", dtype: "f32", dims: [5, 2, 7] }]);
});

test("an empty profile has no nodes", () => expect(parseProfile("[\n]\n").nodes).toEqual([]));

test("the CPU is always there", async () => {
  expect(await availableProviders()).toContain("cpu");
  expect(await requireProvider("cpu")).toBe("cpu");
  expect((await runtimeInfo()).version).toMatch(/^\d+\.\d+\.\d+$/);
});

test.each(["tpu", "", "__proto__"])("provider %j is refused with what there is", async (name) => {
  await expect(requireProvider(name)).rejects.toMatchObject({
    code: "QKV440",
    details: { help: expect.stringContaining("cpu") },
  });
});

test.each(["webgpu", "cuda"] as const)("%s works or is refused in one line", async (ep) => {
  const session = await openSession(unary("Neg", "f32", [2]), { ep }).catch((error: unknown) => error);
  if (session instanceof Error) expect(session).toMatchObject({ code: "QKV440" });
  else await (session as Awaited<ReturnType<typeof openSession>>).close();
  expect(isExecutionProvider(ep)).toBe(true);
});
