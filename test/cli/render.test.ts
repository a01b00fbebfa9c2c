import { expect, test } from "vitest";
import { importModel } from "../../src/backends/onnx/import/import.ts";
import { printable } from "../../src/cli/render.ts";
import { graph, info, modelOf, node } from "../import/support.ts";

test("names of a file say nothing to the terminal", () => {
  const name = "\u001b[31mred\u009b2J\r";
  const model = modelOf(graph([node("Neg", ["x"], [name])], [info("x", "f32", [2])], [info(name, "f32", [3])]));
  const { warnings } = importModel(model);
  expect(warnings.map(printable)).toEqual(['the file says that "�[31mred�2J�" is f32[3]; it is f32[2]']);
  expect(printable("odd: ✓ é\n")).toBe("odd: ✓ é\n");
});
