import { describe, expect, it } from "vitest";
import { isSafeName, NameTable, sanitise } from "../../../src/backends/onnx/names.ts";

describe("sanitise", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["scores", "scores"],
    ["encoder.layer.0/q", "encoder.layer.0/q"],
    ["αβ", "αβ"],
    ["🙂", "🙂"],
    ["", "_"],
    ["a b\tc", "a_b_c"],
    ["nul\u0000byte", "nul_byte"],
    ["\u001b[31m", "_[31m"],
    ["\ud800x", "_x"],
    ["x\udc00", "x_"],
    ["__proto__", "__proto__"],
  ];
  it.each(cases)("%j is %j", (name, safe) => {
    expect(sanitise(name)).toBe(safe);
    expect(isSafeName(name)).toBe(name === safe);
  });
});

describe("NameTable", () => {
  it("numbers what is taken, whatever it is called", () => {
    const names = new NameTable();
    expect(names.reserve("x_1")).toBe(true);
    expect(names.reserve("x_1")).toBe(false);
    expect(["x", "x", "x", "x_1", "__proto__", "__proto__", "constructor"].map((name) => names.unique(name))).toEqual([
      "x",
      "x_2",
      "x_3",
      "x_1_1",
      "__proto__",
      "__proto___1",
      "constructor",
    ]);
  });
  it("stays quick with many equal names", () => {
    const names = new NameTable();
    for (let i = 0; i < 100_000; i++) names.unique("x");
    expect(names.unique("x")).toBe("x_100000");
  });
});
