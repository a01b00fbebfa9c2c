import { expect, test } from "vitest";
import { importModel } from "../../src/backends/onnx/import/import.ts";
import { renderError, shown, told } from "../../src/cli/render.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";
import { jsonText, printable } from "../../src/ir/printable.ts";
import { graph, info, modelOf, node } from "../import/support.ts";

test("names of a file say nothing to the terminal", () => {
  const name = "\u001b[31mred\u009b2J\r";
  const model = modelOf(graph([node("Neg", ["x"], [name])], [info("x", "f32", [2])], [info(name, "f32", [3])]));
  const { warnings } = importModel(model);
  expect(warnings.map(printable)).toEqual(['the file says that "�[31mred�2J�" is f32[3]; it is f32[2]']);
  expect(printable("odd: ✓ é\n")).toBe("odd: ✓ é\n");
});

const hostile = "\u001b[31mred\u009b2J\u202e";

test("JSON of a name says nothing to the terminal either, and reads back", () => {
  const text = jsonText({ [hostile]: [hostile, "\u2028 é\n"] }, 2);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e\u2028]/);
  expect(JSON.parse(text)).toEqual({ [hostile]: [hostile, "\u2028 é\n"] });
});

test("what is told of a file is short, and no line of it looks like an error of ours", () => {
  expect(told("a\nerror[QKV901]: b")).toBe("a\n  error[QKV901]: b");
  expect(told("n".repeat(1e6)).length).toBeLessThan(5_000);
  expect(shown(hostile)).not.toContain("\u009b");
  const text = renderError(new QkvError("QKV402", "a\nerror[QKV901]: b", { notes: [hostile], help: hostile }));
  expect(text).toMatch(/\n {2}error\[QKV901\]/);
  expect(text).not.toContain("\u009b");
});
