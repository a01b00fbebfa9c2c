import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildTimeout, built } from "../cli/support/command.ts";

/** The loader as it runs from compiled files, on Node alone: its module hooks, source maps and worker. */
const root = fileURLToPath(new URL("../../", import.meta.url));
const home = join(root, "dist");
const models = mkdtempSync(join(tmpdir(), "qkv-models-"));

beforeAll(built, buildTimeout);
afterAll(() => rmSync(models, { recursive: true }));

/** Runs `script` with `loadModel`, `within` and `checkTypesBeside` at hand; answers what it prints. */
function node(script: string, path: string): unknown {
  const text = `
    import { loadModel } from ${JSON.stringify(join(home, "src/dsl/load.js"))};
    import { checkTypesBeside } from ${JSON.stringify(join(home, "src/dsl/check-types.js"))};
    import { within } from ${JSON.stringify(join(home, "src/dsl/time-limit.js"))};
    const path = ${JSON.stringify(path)};
    const show = (value) => console.log(JSON.stringify(value));
    const refused = async (run) => { try { await run(); } catch ({ code, message, details }) { return { code, message, details }; } };
    ${script}`;
  return JSON.parse(
    execFileSync(process.execPath, ["--input-type=module", "-e", text], { encoding: "utf8", timeout: 60_000 }),
  );
}

function file(name: string, text: string): string {
  writeFileSync(join(models, name), text);
  return join(models, name);
}

test("a TypeScript model anywhere on disk, with its own files, names and places", () => {
  file(
    "part.ts",
    `import { matmul, type Tensor } from "qkv";\ninterface A { a: 1 }\nexport const part = (a: Tensor, b: Tensor) => {\n  return matmul(a, b);\n};\n`,
  );
  const path = file(
    "model.ts",
    `import { input, model } from "qkv";
import { part } from "./part";
interface Unused { a: 1 }
export default model("m", { d: 8, folder: import.meta.url }, ({ d }) => {
  const left = input("left", "f32", ["n", 8]);
  const right = input("right", "f32", [d, "m"]);
  const joined = part(left, right).mul(2);
  return { y: joined };
});
`,
  );
  const seen = node(
    `const m = await loadModel(path);
     const { graph, arena } = m.build();
     show({ hint: arena.hintOf(graph.outputs[0].value), url: m.defaults.folder, error: await refused(() => m.build({ d: 9 })) });`,
    path,
  );
  expect(seen).toEqual({
    hint: { name: "joined", location: { file: path, line: 7, column: 36, endColumn: 42 } },
    url: `file://${path}`,
    error: {
      code: "QKV107",
      message: "matmul: inner dimensions differ: 8 and 9",
      details: {
        location: { file: join(models, "part.ts"), line: 4, column: 10, endColumn: 22 },
        notes: ["a: f32[n, 8]    b: f32[9, m]"],
      },
    },
  });
});

const masked = (mask: string, before = "") => `import { attention, input, model } from "qkv";
import { near } from "./near.ts";
${before}
export default model("masked", { window: 4 }, ({ window }) => {
  const q: any = input("q", "f32", ["batch", 2, "seq", 8]);
  return { y: attention(q, q, q, { mask: ${mask} }) };
});
`;

test("masks see their settings, their files and what these import", () => {
  file("near.ts", "const reach = 2;\nexport const near = (x: number): boolean => x < reach;\n");
  const path = file(
    "masked.ts",
    masked(
      "({ q, k }) => k <= q && (q - k < window || near(k) || far[k % 2])",
      "const far: boolean[] = [true, false];",
    ),
  );
  const operands = node(
    "show((await loadModel(path)).build().graph.outputs[0].value.node.operands.map((v) => v.type.dtype))",
    path,
  );
  expect(operands).toEqual(["f32", "f32", "f32", "bool"]);
});

test("a mask without a formula is shown where it stands", () => {
  file("near.ts", "export const near = (x: number): boolean => {\n  while (x > 1) x--;\n  return x < 1;\n};\n");
  const refusal = (mask: string) =>
    node("const m = await loadModel(path); show(await refused(() => m.build()))", file("masked.ts", masked(mask)));
  expect(refusal("({ q }) => Math.random() > q")).toMatchObject({
    code: "QKV144",
    details: { location: { file: join(models, "masked.ts"), line: 6, column: 53 } },
  });
  expect(refusal("({ q }) => near(q)")).toMatchObject({
    code: "QKV142",
    details: { location: { file: join(models, "near.ts"), line: 2, column: 3 } },
  });
});

test("JavaScript beside no package.json", () => {
  const path = file(
    "plain.js",
    `import { input, model } from "qkv";\nexport default model("js", () => input("x", "f32", ["n"]).exp());\n`,
  );
  expect(node("show((await loadModel(path)).build().graph.name)", path)).toBe("js");
});

test.each([
  ["an export that is not there", `import { nope } from "qkv";\nnope();\n`, "QKV137", "1:10"],
  ["a file that is not there", `import { x } from "./none.ts";\nx();\n`, "QKV137", "1:22"],
  ["a package that is not there", `import x from "no-such-package-here";\nx();\n`, "QKV137", "1:16"],
  ["a throw", `interface A { a: 1 }\n\nthrow new Error("no");\n`, "QKV134", "3:7"],
  ["a syntax error", `const a = ;\n`, "QKV131", "1:11"],
])("%s", (_, text, code, at) => {
  const error = node("show(await refused(() => loadModel(path)))", file("wrong.ts", text)) as {
    code: string;
    details: { location: { line: number; column: number } };
  };
  expect(`${error.code} ${error.details.location.line}:${error.details.location.column}`).toBe(`${code} ${at}`);
});

test("a syntax error in a file beside it", () => {
  file("bad-part.ts", "export const a = ;\n");
  const path = file("bad-whole.ts", `import { a } from "./bad-part.ts";\nexport default a;\n`);
  expect(node("show(await refused(() => loadModel(path)))", path)).toMatchObject({
    code: "QKV131",
    details: { location: { file: join(models, "bad-part.ts"), line: 1, column: 18 } },
  });
});

test("a top-level await that never settles ends the process with an error", () => {
  const path = file("never.ts", "await new Promise(() => {});\n");
  expect(node("show(await refused(() => loadModel(path, { timeoutMs: 200 })))", path)).toMatchObject({
    code: "QKV135",
  });
});

test.each([
  ["import", "for (;;) try { while (true) {} } catch {}\n", "loadModel(path, { timeoutMs: 200 })"],
  [
    "body",
    `import { model } from "qkv";\nexport default model("m", () => { while (true) {} });\n`,
    "loadModel(path).then((loaded) => within(200, path, () => loaded.build()))",
  ],
])("a loop that never ends in the %s is broken off", (where, text, run) => {
  const path = file(`loop-${where}.ts`, text);
  expect(node(`show(await refused(() => ${run})); process.exit();`, path)).toMatchObject({
    code: "QKV135",
    message: `${path} did not finish loading within 0.2 s`,
  });
});

test("a loop that begins just when time is up does not go on for ever", () => {
  const path = file(
    "late-loop.ts",
    `await new Promise((on) => setInterval(() => performance.now() - globalThis.begun > 201 && on(0), 0));\nfor (;;);\n`,
  );
  const run = "globalThis.begun = performance.now(); await loadModel(path, { timeoutMs: 200 })";
  for (let i = 0; i < 5; i++)
    expect(node(`show(await refused(async () => { ${run} })); process.exit();`, path)).toMatchObject({
      code: "QKV135",
    });
});

test("type errors, on a thread of their own", () => {
  const path = file("types.ts", "export const wrong: string = 3;\n");
  expect(node("show(await checkTypesBeside(path))", path)).toMatchObject([
    { number: 2322, location: { line: 1, column: 14 } },
  ]);
});
