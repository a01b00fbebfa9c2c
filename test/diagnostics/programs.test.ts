import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { checkTypes } from "../../src/dsl/check-types.ts";
import { loadModel } from "../../src/dsl/load.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";

/**
 * Wrong programs, each with what is said about it: `// type line:column message` by the type checker,
 * `// build CODE line:column message | note …` when it is loaded and built.
 */
const folder = fileURLToPath(new URL("./programs/", import.meta.url));

const expectations = (text: string, kind: string) =>
  [...text.matchAll(new RegExp(`^// ${kind} (.*)$`, "gm"))].map(([, rest]) => rest!);

describe.each(readdirSync(folder).map((name) => [name, readFileSync(folder + name, "utf8")]))("%s", (name, text) => {
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
      const found = await checkTypes(path);
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
