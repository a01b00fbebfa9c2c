import { describe, expect, test } from "vitest";
import { configOf } from "../../src/dsl/config.ts";
import { type BuildOptions, input, model, optionalInput } from "../../src/dsl/index.ts";
import { attrsOf } from "../../src/ir/arena.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";

const checkpoint = (config: Record<string, unknown>, names: readonly string[] = []) => ({
  source: "folder",
  config,
  names: () => names,
});
const read = (config: Record<string, unknown>, names?: readonly string[]) => configOf(checkpoint(config, names))!;

function errorOf(body: () => unknown): { code: string; message: string } {
  try {
    body();
  } catch (error) {
    if (error instanceof QkvError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("a configuration", () => {
  const config = read({
    layers: 3,
    epsilon: 1e-6,
    tied: true,
    act: "gelu",
    types: ["full", "local"],
    rope: { theta: 5, nested: { factor: "x" } },
    image: [6, 6],
    none: null,
    constructor: 7,
  });

  test("is read key by key", () => {
    expect(config.natural("layers")).toBe(3);
    expect(config.natural(["depth", "layers", "none"])).toBe(3);
    expect(config.natural(["constructor", "layers"])).toBe(3);
    expect(config.natural(["depth", "none"], 4)).toBe(4);
    expect([config.side("layers"), config.side("image"), config.side("width", 2)]).toEqual([3, 6, 2]);
    expect(config.number("epsilon", 1)).toBe(1e-6);
    expect(config.flag("tied", false)).toBe(true);
    expect(config.choice("act", ["relu", "gelu"])).toBe("gelu");
    expect(config.choices("types", ["local", "full"])).toEqual(["full", "local"]);
    expect(config.section("rope").number("theta")).toBe(5);
    expect(config.natural("constructor")).toBe(7);
  });

  test("has fallbacks where a key is absent or null", () => {
    expect(config.natural("heads", 4)).toBe(4);
    expect(config.natural("none", 5)).toBe(5);
    expect(config.flag("toString", false)).toBe(false);
    expect(config.choices("kinds", ["a"], ["a"])).toEqual(["a"]);
    expect(config.section("absent").number("theta", 1)).toBe(1);
    expect([config.has("none"), config.isNull("none"), config.isNull("absent"), config.has("layers")]).toEqual([
      false,
      true,
      false,
      true,
    ]);
  });

  test.each<[string, () => unknown]>([
    ['"heads" is missing', () => config.natural("heads")],
    ['"depth" is missing', () => config.natural(["depth", "none"])],
    ['"act" is "gelu"; it must be a whole number', () => config.natural(["layers", "act"])],
    ['"none" is missing', () => config.number("none")],
    ['"epsilon" is 0.000001; it must be a whole number', () => config.natural("epsilon")],
    ['"act" is "gelu"; it must be a number', () => config.number("act")],
    ['"layers" is 3; it must be true or false', () => config.flag("layers")],
    ['"layers" is 3; it must be a text', () => config.choice("layers", ["a"])],
    ['"act" is "gelu"; it must be a list of texts', () => config.choices("act", ["gelu"])],
    ['"act" is "gelu"; it must be an object', () => config.section("act")],
    [
      '"rope.nested.factor" is "x"; it must be a number',
      () => config.section("rope").section("nested").number("factor"),
    ],
  ])("%s", (message, body) => {
    expect(errorOf(body)).toEqual({
      code: "QKV433",
      message: expect.stringContaining(`folder: config.json: ${message}`),
    });
  });

  test.each<[string, () => unknown]>([
    ['"act" is "gelu"', () => config.choice("act", ["relu"])],
    ['"types" is "local"', () => config.choices("types", ["full"])],
    ['"tied" is true', () => config.only("tied", false)],
    ['"architectures" is "BarModel"', () => read({ architectures: ["BarModel"] }).architecture("FooModel")],
  ])("%s, which the model has no part for", (message, body) => {
    expect(errorOf(body)).toEqual({
      code: "QKV438",
      message: `folder: config.json: ${message}, which the model has no part for`,
    });
  });

  test("refuses quantised weights", () => {
    const quantised = { quantization_config: { quant_method: "fp8" } };
    expect(errorOf(() => read(quantised))).toEqual({
      code: "QKV438",
      message: expect.stringContaining('folder: config.json: "quantization_config" says'),
    });
    expect(() => read({ quantization_config: null })).not.toThrow();
  });

  test("takes what is there or nothing", () => {
    expect(() => config.only("layers", 2, 3)).not.toThrow();
    expect(() => config.only("none", 1)).not.toThrow();
    expect(() => config.only("absent", 1)).not.toThrow();
  });

  test("says which architecture was trained", () => {
    expect(read({ architectures: ["B"] }).architecture("A", "B")).toBe("B");
    expect(read({}).architecture("A", "B")).toBe("A");
    expect(read({ architectures: [] }).architecture("A", "B")).toBe("A");
  });

  test("knows what is stored, under whatever prefix", () => {
    const stored = read({}, ["model.head.weight", "tail"]);
    expect(["head.weight", "tail", "ead.weight", "model.head"].map(stored.stores)).toEqual([true, true, false, false]);
  });
});

describe("a model that reads one", () => {
  const declared = model(
    "m",
    { d: 4, rope: { theta: 10 } as { readonly theta: number } },
    ({ d, rope }) => input("x", "f32", ["n", d]).mul(rope.theta),
    (config) => ({ d: config.natural("hidden_size"), rope: { theta: config.number("rope_theta", 100) } }),
  );
  const shown = (overrides: object, options: BuildOptions) => {
    const { graph } = declared.build(overrides, options);
    return graph.inputs[0]!.type.shape[1];
  };

  test("takes its settings from it, and those given first", () => {
    expect(shown({}, {})).toBe(4);
    expect(shown({}, { checkpoint: checkpoint({ hidden_size: 6 }) })).toBe(6);
    expect(shown({ d: 8 }, { checkpoint: checkpoint({ hidden_size: 6 }) })).toBe(8);
    expect(shown({}, { checkpoint: { source: "s", config: undefined, names: () => [] } })).toBe(4);
  });

  test("refuses one it cannot follow", () => {
    expect(errorOf(() => shown({}, { checkpoint: checkpoint({}) })).code).toBe("QKV433");
    expect(errorOf(() => shown({ rope: 3 }, {})).code).toBe("QKV118");
    expect(errorOf(() => shown({ rope: { theta: Number.NaN } }, {})).code).toBe("QKV118");
  });
});

describe("optional inputs", () => {
  const declared = model("m", () => {
    const x = input("x", "f32", ["n"]);
    const a = optionalInput("a", "f32", ["n"]);
    const b = optionalInput("b", "f32", ["n"], { present: true });
    const y = a ? x.add(a) : x.mul(2);
    return b ? y.add(b) : y;
  });
  const inputs = (options?: BuildOptions) =>
    declared.build({}, options).graph.inputs.map(({ node }) => attrsOf(node, "input").name);

  test("are there where a build is told so, else as they say", () => {
    expect(inputs()).toEqual(["x", "b"]);
    expect(inputs({ inputs: new Set(["x"]) })).toEqual(["x"]);
    expect(inputs({ inputs: new Set(["x", "a", "other"]) })).toEqual(["x", "a"]);
  });
});
