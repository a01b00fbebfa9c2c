import { describe, expect, test } from "vitest";
import { casesOf, inputNames } from "../../src/cli/cases.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";

const tensors = (...names: readonly string[]) =>
  new Map(names.map((name, i) => [name, fromNumbers("f32", [1], [i])] as const));
const names = (given: ReadonlyMap<string, unknown>) => [...given.keys()];

describe("cases of a file of inputs", () => {
  test("a name is an input, or one of a case", () => {
    expect([...inputNames(tensors("ids", "0.ids", "a.b.c"))]).toEqual(["ids", "0.ids", "a.b.c", "b.c"]);
  });

  test("are grouped by what stands before the first dot", () => {
    const cases = casesOf(tensors("0.ids", "1.ids", "0.x.y", "1.x.y", "gen.ids"), ["ids", "x.y"]);
    expect(cases.map(({ name, inputs }) => [name, names(inputs)])).toEqual([
      ["0", ["ids", "x.y"]],
      ["1", ["ids", "x.y"]],
      ["gen", ["ids"]],
    ]);
  });

  test("a file with a name of the model is one run, whatever else it holds", () => {
    const cases = casesOf(tensors("ids", "0.ids"), ["ids"]);
    expect(cases.map(({ name, inputs }) => [name, names(inputs)])).toEqual([[undefined, ["ids", "0.ids"]]]);
  });

  test("inputs with dots in their names are no cases", () => {
    expect(casesOf(tensors("past.key", "past.value"), ["past.key", "past.value"])).toHaveLength(1);
  });

  test("a file whose cases have no input of the model is one run", () => {
    expect(casesOf(tensors("0.id", "1.id"), ["ids", "mask"])[0]?.name).toBeUndefined();
  });
});
