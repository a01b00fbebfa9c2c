import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { checkTypes, type TypeProblem } from "../../src/dsl/check-types.ts";
import { loadModel } from "../../src/dsl/load.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";

/**
 * Wrong programs, each with what is said about it: `// type line:column message` by the type checker,
 * `// build CODE line:column message | note …` when it is loaded and built.
 */
const folder = fileURLToPath(new URL("./programs/", import.meta.url));

const expectations = (text: string, kind: string) =>
  [...text.matchAll(new RegExp(`^// ${kind} (.*)$`, "gm"))].map(([, rest]) => rest!);

const programs = readdirSync(folder).map((name) => ({ name, text: readFileSync(folder + name, "utf8") }));

let checked: Promise<readonly TypeProblem[]> | undefined;

/** The type errors of all files: one program to the type checker, which then reads the library's types once. */
function typeProblems(): Promise<readonly TypeProblem[]> {
  const files = programs.filter(({ text }) => expectations(text, "type").length > 0).map(({ name }) => folder + name);
  return (checked ??= checkTypes(...files));
}

test("type errors are in the programs only", async () => {
  const files = new Set(programs.map(({ name }) => folder + name));
  expect((await typeProblems()).filter(({ location }) => !files.has(location.file))).toEqual([]);
});

describe.each(programs)("$name", ({ name, text }) => {
  const path = folder + name;
  const [build] = expectations(text, "build");
  const types = expectations(text, "type");

  if (build !== undefined)
    test("is one error when built", async () => {
      const error = await failureOf(path);
      const { location, notes = [], help = "" } = error.details;
      const [head, ...facts] = build.split(" | ");
      expect(`${error.code} ${location?.line}:${location?.column} ${error.message}`).toContain(head);
      expect(location?.file).toBe(path);
      for (const fact of facts) expect([...notes, help].join("\n")).toContain(fact);
    });

  if (types.length > 0)
    test("is one type error", async () => {
      const found = (await typeProblems()).filter(({ location }) => location.file === path);
      expect(found).toHaveLength(types.length);
      found.forEach(({ message, location }, i) =>
        expect(`${location.line}:${location.column} ${message}`).toContain(types[i]),
      );
    });
});

async function failureOf(path: string): Promise<QkvError> {
  try {
    (await loadModel(path)).build();
  } catch (error) {
    if (error instanceof QkvError) return error;
    throw error;
  }
  throw new Error("nothing was wrong");
}
