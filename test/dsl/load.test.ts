import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { checkTypes, checkTypesBeside, typeError } from "../../src/dsl/check-types.ts";
import { loadModel } from "../../src/dsl/load.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";

const folder = mkdtempSync(join(tmpdir(), "qkv-load-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

async function refused(path: string, timeoutMs?: number) {
  try {
    await loadModel(path, timeoutMs === undefined ? {} : { timeoutMs });
  } catch (error) {
    if (!(error instanceof QkvError)) throw error;
    const { location, help } = error.details;
    const at = location ? `${location.line}:${location.column}` : "";
    return { code: error.code, message: error.message, at, ...(help !== undefined && { help }) };
  }
  throw new Error("it loaded");
}

const fine = `import { input, model, type Tensor } from "qkv";
interface Settings { layers: number }
export default model("fine", { layers: 2 }, ({ layers }: Settings): { y: Tensor } => {
  let y: Tensor = input("x", "f32", ["n"]);
  for (let i = 0; i < layers; i++) y = y.mul(2);
  return { y };
});
`;

describe("files that load", () => {
  test.each(["a.ts", "b.mts", "with space é.ts"])("%s, outside any package", async (name) => {
    const declared = await loadModel(file(name, fine));
    expect(declared.name).toBe("fine");
    expect(declared.build({ layers: 3 }).graph.outputs).toHaveLength(1);
  });
  test("JavaScript", async () => {
    const text = `import { input, model } from "qkv";\nexport default model("js", () => input("x", "f32", ["n"]).exp());\n`;
    for (const name of ["c.js", "d.mjs"]) expect((await loadModel(file(name, text))).name).toBe("js");
  });
  test("with other files beside it, places included", async () => {
    file("part.ts", `import { matmul, type Tensor } from "qkv";\n\nexport const part = (a: Tensor) => matmul(a, a);\n`);
    const path = file(
      "whole.ts",
      `import { input, model } from "qkv";\nimport { part } from "./part.ts";\nexport default model("whole", () => part(input("x", "f32", ["n", 8])));\n`,
    );
    const declared = await loadModel(path);
    expect(() => declared.build()).toThrow(expect.objectContaining({ code: "QKV107" }));
    try {
      declared.build();
    } catch (error) {
      const { location, notes } = (error as QkvError).details;
      expect(location).toEqual({ file: join(folder, "part.ts"), line: 3, column: 36, endColumn: 48 });
      expect(notes).toEqual(["a: f32[n, 8]    a: f32[n, 8]"]);
    }
  });
});

describe("files that do not", () => {
  test("missing, a folder, another kind", async () => {
    expect((await refused(join(folder, "none.ts"))).code).toBe("QKV130");
    mkdirSync(join(folder, "folder.ts"));
    expect((await refused(join(folder, "folder.ts"))).code).toBe("QKV130");
    expect((await refused(folder)).code).toBe("QKV138");
    expect((await refused(file("a.json", "{}"))).code).toBe("QKV138");
    expect(await refused(file("a.onnx", ""))).toMatchObject({ code: "QKV138", help: expect.stringContaining(".onnx") });
  });
  test("syntax error", async () => {
    const found = await refused(file("syntax.ts", "const é = (;\n"));
    expect(found).toEqual({ code: "QKV131", message: 'syntax error: Unexpected ";"', at: "1:12" });
  });
  test("binary", async () => {
    expect((await refused(file("binary.ts", "\0\u0001\u0002\ufffd"))).code).toBe("QKV131");
  });
  test("empty file, no default export", async () => {
    expect((await refused(file("empty.ts", ""))).code).toBe("QKV132");
    expect((await refused(file("named.ts", fine.replace("export default", "export const m =")))).code).toBe("QKV132");
  });
  test.each(["3", "null", "undefined", "() => 1", "{ name: 'x', build() {} }", "Promise.resolve(1)", "[]"])(
    "default export %s",
    async (value) => {
      const name = `export-${value.replace(/\W/g, "_")}.ts`;
      expect((await refused(file(name, `export default ${value};\n`))).code).toBe("QKV133");
    },
  );
  test("top-level throw", async () => {
    const found = await refused(file("throws.ts", `interface A { a: 1 }\n\nthrow new TypeError("no");\n`));
    expect(found).toMatchObject({ code: "QKV134", message: "TypeError: no", at: "3:7" });
    expect((await refused(file("throws-text.ts", `throw "text";\n`))).code).toBe("QKV134");
  });
  test("a model that cannot be declared", async () => {
    const text = `import { model } from "qkv";\nexport default model("", () => 1 as never);\n`;
    expect(await refused(file("declared.ts", text))).toMatchObject({ code: "QKV102", at: "2:16" });
  });
  test("top-level await that never settles", async () => {
    const found = await refused(file("never.ts", "await new Promise(() => {});\nexport default 1;\n"), 300);
    expect(found.code).toBe("QKV135");
  });
  test("imports what is not there", async () => {
    const found = await refused(file("absent.ts", `import { x } from "./absent-part.ts";\nexport default x;\n`));
    expect(found).toMatchObject({ code: "QKV137" });
    expect(found.at).toMatch(/^1:/);
  });
});

describe("type errors", () => {
  test("are listed with their places", async () => {
    const path = file(
      "types.ts",
      `import { input, matmul, model } from "qkv";
const wrong: string = 3;
export default model("types", () => {
  const a = input("a", "f32", ["n", 64]);
  const b = input("b", "f32", [32, "m"]);
  return matmul(a, b);
});
`,
    );
    const found = await checkTypes(path);
    expect(found.map(({ location, message }) => `${location.line}:${location.column} ${message}`)).toEqual([
      "2:7 Type 'number' is not assignable to type 'string'.",
      "6:20 matmul: inner dimensions differ: x ends in 64, y has 32 rows",
    ]);
    const error = typeError(found);
    expect(`${error?.code} ${error?.message}`).toBe(
      "QKV136 Type 'number' is not assignable to type 'string'. (TS2322)",
    );
    expect(error?.details.notes).toEqual([
      "also at 6:20: matmul: inner dimensions differ: x ends in 64, y has 32 rows",
    ]);
    expect(typeError([])).toBeUndefined();
  });
  test("in files beside it", async () => {
    file("typed-part.ts", "export const part: number = 'a';\n");
    const path = file("typed-whole.ts", `import { part } from "./typed-part.ts";\nexport default part;\n`);
    expect((await checkTypes(path))[0]?.location.file).toMatch(/typed-part\.ts$/);
  });
  test("Node's own modules are let be", async () => {
    const path = file(
      "node.ts",
      `import { readFileSync } from "node:fs";\nexport default readFileSync(process.argv[1]!);\n`,
    );
    expect(await checkTypesBeside(path)).toEqual([]);
  });
});
