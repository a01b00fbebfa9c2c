import { describe, expect, test } from "vitest";
import { type Facts, factsOf } from "./support/architecture.ts";
import { architectureRules, exceptions } from "./support/architecture-rules.ts";
import { filesUnder } from "./support/files.ts";

const checkout = factsOf(filesUnder(["src", "models", "test", "bench", "scripts"], ".ts"));

const planted = (files: Readonly<Record<string, string>>): readonly Facts[] =>
  factsOf(Object.entries(files).map(([path, text]) => ({ path, text })));

describe("the checkout", () => {
  test.each(Object.values(architectureRules))("$name", ({ check }) => {
    expect(check(checkout)).toEqual([]);
  });

  test("every exception is about a file there is", () => {
    const paths = checkout.map(({ path }) => path);
    expect(exceptions.filter((path) => !paths.includes(path))).toEqual([]);
  });

  test("is really read", () => {
    const paths = checkout.map(({ path }) => path);
    expect(paths).toContain("src/ir/graph.ts");
    expect(paths).toContain("src/passes/pass.ts");
    expect(checkout.find(({ path }) => path === "src/ir/graph.ts")!.imports.length).toBeGreaterThan(0);
  });
});

type RuleName = keyof typeof architectureRules;

/** For each rule, files that break it with what is said, and files that look alike and do not. */
const plants: Readonly<
  Record<RuleName, readonly { broken: Record<string, string>; says: readonly string[]; fine: Record<string, string> }[]>
> = {
  direction: [
    {
      broken: { "src/ir/a.ts": '// a\nimport { b } from "../passes/b.ts";' },
      says: ["src/ir/a.ts:2: imports src/passes/b.ts; ir may import itself, not passes"],
      fine: { "src/passes/b.ts": 'import { a } from "../ir/a.ts";' },
    },
    {
      broken: { "src/passes/a.ts": 'export { b } from "../backends/onnx/b.ts";' },
      says: ["src/passes/a.ts:1: imports src/backends/onnx/b.ts; passes may import itself, ir, not onnx"],
      fine: { "src/backends/onnx/b.ts": 'export { b } from "../../passes/b.ts";' },
    },
    {
      broken: { "src/dsl/a.ts": 'import type { B } from "../passes/b.ts";' },
      says: ["src/dsl/a.ts:1: imports src/passes/b.ts; dsl may import itself, ir, not passes"],
      fine: { "src/dsl/a.ts": 'import type { B } from "../ir/b.ts";' },
    },
    {
      broken: {
        "src/ir/a.ts": 'const b = await import("../dsl/b.ts");',
        "src/ir/c.ts": 'type B = import("../dsl/b.ts").B;',
      },
      says: [
        "src/ir/a.ts:1: imports src/dsl/b.ts; ir may import itself, not dsl",
        "src/ir/c.ts:1: imports src/dsl/b.ts; ir may import itself, not dsl",
      ],
      fine: { "src/ir/a.ts": 'const text = "../dsl/b.ts"; // import { b } from "../dsl/b.ts"' },
    },
    {
      broken: {
        "src/compare.ts": 'import { main } from "./cli/main.ts";',
        "src/ir/a.ts": 'import { c } from "../compile.ts";',
      },
      says: [
        "src/compare.ts:1: imports src/cli/main.ts; top may import itself, dsl, ir, passes, backends, onnx, weights, not cli",
        "src/ir/a.ts:1: imports src/compile.ts; ir may import itself, not top",
      ],
      fine: { "src/cli/main.ts": 'import { compare } from "../compare.ts";\nimport { a } from "../ir/a.ts";' },
    },
    {
      broken: { "src/ir/a.ts": 'import { b } from "../../test/support/b.ts";' },
      says: ["src/ir/a.ts:1: imports test/support/b.ts; ir may import itself, not what lies outside of src"],
      fine: { "test/ir/a.test.ts": 'import { b } from "../../src/cli/options.ts";' },
    },
    {
      broken: {
        "src/backends/onnx/a.ts": 'import { b } from "../ort/b.ts";',
        "src/backends/weights/a.ts": 'import { b } from "../../passes/b.ts";',
        "src/backends/ort/a.ts": 'import { b } from "../../dsl/b.ts";',
      },
      says: [
        "src/backends/onnx/a.ts:1: imports src/backends/ort/b.ts; onnx may import itself, passes, ir, not backends",
        "src/backends/weights/a.ts:1: imports src/passes/b.ts; weights may import itself, ir, not passes",
        "src/backends/ort/a.ts:1: imports src/dsl/b.ts; backends may import itself, onnx, weights, passes, ir, not dsl",
      ],
      fine: { "src/backends/ort/a.ts": 'import { b } from "../weights/b.ts";\nimport { c } from "../onnx/c.ts";' },
    },
    {
      broken: { "models/a.ts": 'import { b } from "../src/dsl/b.ts";\nimport { readFileSync } from "node:fs";' },
      says: [
        'models/a.ts:1: imports "../src/dsl/b.ts"; a model imports only "qkv" and what lies beside it',
        'models/a.ts:2: imports "node:fs"; a model imports only "qkv" and what lies beside it',
      ],
      fine: { "models/a.ts": 'import { model } from "qkv";\nimport { b } from "./variants/b.ts";' },
    },
  ],
  cycles: [
    {
      broken: {
        "src/ir/a.ts": 'import { x } from "./x.ts";\nimport { b } from "./b.ts";',
        "src/ir/b.ts": 'export { c } from "./deep/c.ts";',
        "src/ir/deep/c.ts": 'const a = await import("../a.ts");',
        "src/ir/x.ts": "export const x = 1;",
      },
      says: ["src/ir/a.ts:2: starts the import cycle src/ir/a.ts → src/ir/b.ts → src/ir/deep/c.ts → src/ir/a.ts"],
      fine: {
        "src/ir/a.ts": 'import type { B } from "./b.ts";',
        "src/ir/b.ts": 'import { a } from "./a.ts";',
        "src/ir/c.ts": 'import { a } from "./a.ts";\nimport { b } from "./b.ts";',
      },
    },
    {
      // With `verbatimModuleSyntax` only `import type` is erased; a list of types still loads the module.
      broken: { "src/ir/a.ts": 'import { type B } from "./b.ts";', "src/ir/b.ts": 'import { a } from "./a.ts";' },
      says: ["src/ir/a.ts:1: starts the import cycle src/ir/a.ts → src/ir/b.ts → src/ir/a.ts"],
      fine: {},
    },
    {
      broken: { "src/ir/a.ts": 'import { a } from "./a.ts";' },
      says: ["src/ir/a.ts:1: starts the import cycle src/ir/a.ts → src/ir/a.ts"],
      fine: {},
    },
  ],
  packages: [
    {
      broken: {
        "src/backends/onnx/a.ts": 'import * as ort from "onnxruntime-node";',
        "src/ir/a.ts": 'import { alg } from "graphlib";\nconst m = await import("ts-morph");',
        "src/passes/a.ts": 'import type { Message } from "@bufbuild/protobuf/wire";',
        "src/compile.ts": 'import lodash from "lodash";',
      },
      says: [
        "src/backends/onnx/a.ts:1: imports onnxruntime-node; only ^src\\/backends\\/ort\\/(session|memory-worker)\\.ts$ may",
        "src/ir/a.ts:1: imports graphlib; only ^src\\/ir\\/topology\\.ts$ may",
        "src/ir/a.ts:2: imports ts-morph; only ^src\\/dsl\\/(source|check-types|lift\\/[a-z-]+)\\.ts$ may",
        "src/passes/a.ts:1: imports @bufbuild/protobuf; only ^src\\/backends\\/onnx\\/ may",
        "src/compile.ts:1: imports lodash; it is not a listed package",
      ],
      fine: {
        "src/backends/ort/session.ts": 'import * as ort from "onnxruntime-node";',
        "src/ir/topology.ts": 'import { alg } from "graphlib";\nimport { readFileSync } from "node:fs";',
        "src/backends/onnx/wire.ts": 'import { x } from "@bufbuild/protobuf/wire";',
        "test/a.test.ts": 'import { test } from "vitest";',
      },
    },
  ],
  size: [
    {
      broken: { "src/ir/a.ts": "// line\n".repeat(501) },
      says: ["src/ir/a.ts:501: 501 lines; split it by concept"],
      fine: {
        "src/ir/a.ts": "// line\n".repeat(500),
        "src/backends/onnx/proto/generated/b.ts": "// line\n".repeat(900),
      },
    },
  ],
  noAny: [
    {
      broken: { "src/ir/a.ts": "type A =\n  any[];\nconst b = (c as any).d;" },
      says: ["src/ir/a.ts:2: any; write unknown, or the type", "src/ir/a.ts:3: any; write unknown, or the type"],
      fine: { "src/ir/a.ts": '// any\nconst any = "any";\nconst x: unknown = any;' },
    },
  ],
  noDefaultExports: [
    {
      broken: {
        "src/a.ts": "const a = 1;\nexport default a;",
        "src/b.ts": "export default function b() {}",
        "src/c.ts": "const c = 1;\nexport { c as default };",
        "src/d.ts": "export default class D {}",
      },
      says: ["a.ts:2", "b.ts:1", "c.ts:2", "d.ts:1"].map((at) => `src/${at}: default export; name it`),
      fine: {
        "models/a.ts": 'import { model } from "qkv";\nexport default model("a", () => ({}));',
        "src/b.ts": "export const b = 1;",
      },
    },
  ],
  noEnums: [
    {
      broken: { "src/ir/a.ts": "enum A { B }", "src/ir/b.ts": "declare const enum C {}" },
      says: ["src/ir/a.ts:1", "src/ir/b.ts:1"].map((at) => `${at}: enum; a union of texts does it`),
      fine: { "src/ir/a.ts": 'type A = "enum" | "b";' },
    },
  ],
  noEffects: [
    {
      broken: {
        "src/ir/ops/a.ts": 'import "./b.ts";\nregister("a");',
        "src/ir/b.ts": "for (const x of []) x;\nif (true) a();",
      },
      says: [
        "src/ir/ops/a.ts:2: a statement at the top level; declare data and spread it where it is used",
        'src/ir/ops/a.ts:1: imports "./b.ts" for its effect',
        "src/ir/b.ts:1: a statement at the top level; declare data and spread it where it is used",
        "src/ir/b.ts:2: a statement at the top level; declare data and spread it where it is used",
      ],
      fine: {
        "src/ir/a.ts": "export const a = make();\nexport function b() { register(a); }",
        "src/cli/main.ts": "run();",
      },
    },
  ],
  quiet: [
    {
      broken: {
        "src/passes/a.ts": 'export const f = () =>\n  console.log("a");',
        "src/ir/a.ts": "const a = process.env.A;",
      },
      says: ["src/passes/a.ts:2: uses console", "src/ir/a.ts:1: uses process"],
      fine: { "src/cli/a.ts": "const a = process.env.A;", "src/ir/a.ts": "// console" },
    },
  ],
  names: [
    {
      broken: { "src/ir/utils.ts": "", "test/helpers.ts": "", "src/ir/fooBar.ts": "", "test/a_b.test.ts": "" },
      says: [
        "src/ir/utils.ts:1: a name that says nothing; name the concept",
        "test/helpers.ts:1: a name that says nothing; name the concept",
        "src/ir/fooBar.ts:1: not kebab-case",
        "test/a_b.test.ts:1: not kebab-case",
      ],
      fine: {
        "src/ir/float16.ts": "",
        "test/a-b.test.ts": "",
        "test/types/a.test-d.ts": "",
        "src/x/generated/onnx_pb.ts": "",
      },
    },
  ],
};

describe("a planted violation", () => {
  const cases = Object.entries(plants).flatMap(([name, list]) =>
    list.map((plant, i) => ({ name: name as RuleName, i, ...plant })),
  );

  test.each(cases)("of $name, $i, is found where it is", ({ name, broken, says }) => {
    expect(architectureRules[name].check(planted(broken))).toEqual(says);
  });

  test.each(cases)("of $name, $i, is told from what is fine", ({ name, fine }) => {
    expect(architectureRules[name].check(planted(fine))).toEqual([]);
  });

  test("of two cycles, both are found, however deep", () => {
    const [blank] = planted({ "src/ir/a.ts": "" });
    // Two rings: 0 … 9,999 and 10,000 … 19,999.
    const after = (i: number) => (i % 10_000 === 9_999 ? i - 9_999 : i + 1);
    const rings = Array.from(
      { length: 20_000 },
      (_, i): Facts => ({
        ...blank!,
        path: `src/ir/n${i}.ts`,
        imports: [{ specifier: `./n${after(i)}.ts`, line: 1, erased: false, bare: false }],
      }),
    );
    const starts = architectureRules.cycles.check(rings).map((text) => text.split(":")[0]);
    expect(starts).toEqual(["src/ir/n0.ts", "src/ir/n10000.ts"]);
  });
});
