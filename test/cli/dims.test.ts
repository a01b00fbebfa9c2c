import { describe, expect, test } from "vitest";
import { ownSizes } from "../../src/cli/common.ts";
import { parseDims } from "../../src/cli/options.ts";
import { add, symbol } from "../../src/ir/dim.ts";

describe("--dims", () => {
  test("takes nothing, too: the cache before the first token", () => {
    expect(parseDims("past=0,seq=1")).toEqual(
      new Map([
        ["past", 0],
        ["seq", 1],
      ]),
    );
  });

  test.each(["past=-1", "past=1.5", "past=", "past=1,past=1", "past=x"])("%s is none", (text) => {
    expect(() => parseDims(text)).toThrow(expect.objectContaining({ code: "QKV501" }));
  });

  const equal = [
    { name: "total", dim: add(symbol("past"), symbol("seq")) },
    { name: "batch_2", dim: symbol("batch") },
  ];

  test.each([
    ["seq=3,past=4", { seq: 3, past: 4 }],
    ["seq=3,past=4,total=7", { seq: 3, past: 4 }],
    ["seq=3,total=7", { seq: 3, past: 4 }],
    ["total=7,past=0", { past: 0, seq: 7 }],
    ["batch_2=5", { batch: 5 }],
    ["batch_2=5,batch=5,seq=1", { batch: 5, seq: 1 }],
  ])("%s, by all names of the file", (text, sizes) => {
    expect(Object.fromEntries(ownSizes(parseDims(text), { equal }))).toEqual(sizes);
  });

  test.each([
    ["seq=3,past=4,total=8", "total = past + seq cannot be 8", "it is 7"],
    ["seq=9,total=7", "total = past + seq cannot be 7", "give another size"],
    ["total=7", "total = past + seq leaves past and seq open", "give seq, too"],
    ["batch=2,batch_2=3", "batch_2 = batch cannot be 3", "it is 2"],
  ])("%s contradicts itself, or leaves too much open", (text, message, help) => {
    const error = expect.objectContaining({
      code: "QKV501",
      message: expect.stringContaining(message),
      details: { help },
    });
    expect(() => ownSizes(parseDims(text), { equal })).toThrow(error);
  });
});
