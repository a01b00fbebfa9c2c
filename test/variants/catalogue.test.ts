import { describe, expect, test } from "vitest";
import { variantFiles } from "../../scripts/docs/variants.ts";
import { compile } from "../../src/compile.ts";
import { filesUnder } from "../support/files.ts";

const variants = await variantFiles();
const tests = filesUnder(["test/variants"], ".ts").map(({ text }) => text);

/** A paper by its number at arXiv, or a page where there is none. */
const paper = /arXiv:(\d{4}\.\d{4,5}|[a-z-]+\/\d{7})|https:\/\//;

test("there are variants", () => {
  expect(variants.length).toBeGreaterThan(0);
});

describe.each(variants)("$name", ({ name, paragraphs, model }) => {
  test("is called as its file", () => {
    expect(model.name).toBe(name);
  });

  test("says what it is, its formula and its paper", () => {
    expect(paragraphs[0]).toMatch(/\.$/);
    expect(paragraphs[1]).toMatch(/ [=:∝≈] /);
    expect(paragraphs.join("\n")).toMatch(paper);
  });

  test("becomes a file with its own settings", async () => {
    expect((await compile(model)).onnx().graph.nodes.length).toBeGreaterThan(0);
  });

  test("is compared with a reference", () => {
    expect(tests.some((text) => text.includes(`/models/variants/${name}.ts"`))).toBe(true);
  });
});
