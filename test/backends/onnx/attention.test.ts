import { describe, expect, it } from "vitest";
import { type ExportTarget, exportGraph } from "../../../src/backends/onnx/export.ts";
import { Arena, graphOf } from "../../../src/ir/arena.ts";
import { type Dim, symbol } from "../../../src/ir/dim.ts";
import { evaluateGraph } from "../../../src/ir/evaluate.ts";
import type { Value } from "../../../src/ir/graph.ts";
import { parseGraph } from "../../../src/ir/parse.ts";
import { fromNumbers, type HostTensor } from "../../../src/ir/tensor.ts";
import { check, levels, operators, ortCpu, type Reference, reader, standard, tensor } from "./support/check.ts";

interface Case {
  readonly packed?: boolean;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly width?: number;
  readonly valueWidth?: number;
  readonly queries?: number;
  readonly keys?: number;
  readonly causal?: boolean;
  readonly scale?: number;
  readonly normaliser?: string;
  /** Shape of the mask: axes that are stretched. */
  readonly mask?: readonly [batch: boolean, heads: boolean, queries: boolean];
  /** Rows that see nothing. */
  readonly blind?: boolean;
  readonly bias?: readonly [batch: boolean, heads: boolean];
  readonly symbolic?: boolean;
  /** Queries and keys are known to be equally long. */
  readonly square?: boolean;
}

async function run(given: Case, target: ExportTarget, dims?: ReadonlyMap<string, number>, at = levels) {
  const {
    packed = false,
    heads = 2,
    kvHeads = heads,
    width = 8,
    valueWidth = width,
    queries = 5,
    symbolic = false,
  } = given;
  const {
    square = given.keys === undefined,
    keys = queries,
    causal = false,
    scale = 0.5,
    normaliser = "softmax",
  } = given;
  const batch = 2;
  const arena = new Arena();
  const b = arena.build;
  const dim = (size: number, name: string): Dim => (symbolic ? symbol(name) : size);
  const [B, Q, K] = [dim(batch, "b"), dim(queries, "q"), square ? dim(queries, "q") : dim(keys, "k")];
  const feeds = new Map<string, HostTensor>();
  const inputs: Value[] = [];
  const input = (name: string, shape: readonly Dim[], data: HostTensor) => {
    feeds.set(name, data);
    const value = b.input({ name, dtype: data.dtype, shape });
    inputs.push(value);
    return value;
  };
  const part = (name: string, h: number, length: number, symbolicLength: Dim, w: number, seed: number) =>
    packed
      ? input(name, [B, symbolicLength, h * w], tensor("f32", [batch, length, h * w], seed))
      : input(name, [B, h, symbolicLength, w], tensor("f32", [batch, h, length, w], seed));
  const q = part("q", heads, queries, Q, width, 1);
  const k = part("k", kvHeads, keys, K, width, 2);
  const v = part("v", kvHeads, keys, K, valueWidth, 3);
  const extras: Value[] = [];
  if (given.mask) {
    const [ofBatch, ofHeads, ofQueries] = given.mask;
    const shape = [ofBatch ? 1 : batch, ofHeads ? 1 : heads, ofQueries ? 1 : queries, keys];
    const random = tensor("bool", shape, 4);
    const data = Array.from(random.data as Uint8Array, (bit, i) => {
      const row = Math.floor(i / keys);
      return given.blind && row % 2 === 0 ? 0 : i % keys === keys - 1 && !given.blind ? 1 : Number(bit);
    });
    extras.push(
      input("mask", [ofBatch ? 1 : B, ofHeads ? 1 : heads, ofQueries ? 1 : Q, K], fromNumbers("bool", shape, data)),
    );
  }
  if (given.bias) {
    const [ofBatch, ofHeads] = given.bias;
    const shape = [ofBatch ? 1 : batch, ofHeads ? 1 : heads, queries, keys];
    extras.push(input("bias", [ofBatch ? 1 : B, ofHeads ? 1 : heads, Q, K], tensor("f32", shape, 5)));
  }
  const attrs = { scale, causal, normaliser };
  const out = packed
    ? b.packedAttention(q, k, v, ...extras, { heads, kvHeads, ...attrs })
    : b.attention(q, k, v, ...extras, attrs);
  arena.hint(out, { name: "attended" });
  const graph = graphOf("g", inputs, [["y", out]]);
  const name = JSON.stringify(given);
  const expected = references.get(name) ?? evaluateGraph(graph, feeds);
  references.set(name, expected);
  return check(arena, graph, feeds, target, { expected, levels: at, ...(dims ? { dims } : {}) });
}

/** By case: it is the same for every form. */
const references = new Map<string, Reference>();

const cases: readonly Case[] = [
  {},
  { causal: true },
  { queries: 17, causal: true },
  { queries: 33 },
  { queries: 1 },
  { queries: 1, causal: true },
  { queries: 3, keys: 7 },
  { queries: 3, keys: 7, causal: true },
  { queries: 7, keys: 3, causal: true },
  { queries: 5, keys: 5, causal: true, square: false },
  { valueWidth: 16 },
  { width: 5 },
  { heads: 4, kvHeads: 2 },
  { heads: 4, kvHeads: 1, causal: true },
  { scale: -0.5 },
  { scale: 0 },
  { normaliser: "none" },
  { normaliser: "none", causal: true },
  { mask: [false, true, true] },
  { mask: [true, true, false] },
  { mask: [false, false, false] },
  { mask: [false, true, true], blind: true },
  { mask: [false, true, false], blind: true },
  { mask: [false, false, false], blind: true },
  { mask: [false, true, true], causal: true, blind: true },
  { mask: [false, true, false], causal: true, blind: true },
  { mask: [false, false, false], causal: true, blind: true },
  { mask: [false, true, false], causal: true, blind: true, queries: 3, keys: 7 },
  { bias: [true, false] },
  { bias: [false, true], causal: true },
  { bias: [false, false], mask: [false, true, true], causal: true, blind: true },
  { bias: [true, true], mask: [true, true, true] },
];

const describeCase = (given: Case) => JSON.stringify(given);
const forms: readonly [string, ExportTarget][] = [
  ["standard", standard(17)],
  ["kernel of ai.onnx", { ...ortCpu(), attention: "standard" }],
  ["opset 24", { ...ortCpu(24), attention: "standard" }],
  ["multi-head", { ...ortCpu(), attention: "multiHead" }],
  ["grouped", { ...ortCpu(), attention: "grouped" }],
  ["opset 18 with com.microsoft", ortCpu(18)],
  ["chosen at run time", ortCpu()],
];

describe.each(forms)("%s", (_, target) => {
  it.each(cases.map((given) => [describeCase(given), given] as const))("%s", async (_name, given) => {
    for (const packed of [false, true])
      for (const symbolic of [false, true]) {
        if (symbolic && given.queries === given.keys && given.square === false) continue;
        await run({ ...given, packed, symbolic }, target, undefined, symbolic ? ["disabled", "all"] : ["all"]);
      }
  });
});

describe("choice", () => {
  const at = async (given: Case, hint?: number) =>
    operators(
      await run(
        { ...given, packed: true, symbolic: true },
        ortCpu(),
        hint === undefined ? undefined : new Map([["q", hint]]),
        [],
      ),
    );
  it("goes by the length hinted", async () => {
    expect(await at({}, 128)).toEqual(["Attention"]);
    expect(await at({}, 4096)).toEqual(["MultiHeadAttention"]);
    expect(await at({ causal: true }, 128)).toEqual(["Attention"]);
    expect(await at({ causal: true, width: 32 }, 1024)).toContain("GroupQueryAttention");
    expect(await at({ causal: true, width: 16 }, 1024)).toEqual(["Attention"]);
    expect(await at({ causal: true, width: 16 }, 1280)).toContain("GroupQueryAttention");
    expect(await at({ mask: [false, true, true] }, 1024)).toContain("Attention");
  });
  it("is left to the run where the length is open", async () => {
    expect(await at({})).toContain("If");
    expect(await at({ causal: true })).toContain("If");
    expect(await at({ mask: [false, true, true] })).not.toContain("If");
    expect(await at({ heads: 4, kvHeads: 2 })).toEqual(["Attention"]);
    expect(await at({ heads: 4, kvHeads: 2 }, 4096)).toEqual(["Attention"]);
  });
  it("at run time gives the same on both sides of the threshold", async () => {
    for (const queries of [7, 1281])
      for (const given of [{}, { causal: true }, { causal: true, mask: [false, true, true], blind: true }] as const)
        for (const packed of [true, false])
          await run({ ...given, queries, packed, symbolic: true }, ortCpu(), undefined, ["disabled", "all"]);
  });
  it("knows what the branch it stands in is taken for", () => {
    const attend = "attention(%q, %k, %v) {scale = 0.5, causal = true}";
    const inputs = "%q: f32[1, 2, S, 32], %k: f32[1, 2, S, 32], %v: f32[1, 2, S, 32]";
    const branches = (limit: number) => {
      const arena = new Arena();
      const held = (name: string, value: string) =>
        `graph @${name}(${inputs}) {\n    %o: f32[1, 2, S, 32] = ${value}\n    return %o\n  }`;
      const graph = parseGraph(
        `graph @g(${inputs}) {
  %size: i64[] = size() {of = S}
  %short: bool[] = less(%size, ${limit})
  %o: f32[1, 2, S, 32] = if(%short, %q, %k, %v) {whenTrue = ${held("short", attend)}, whenFalse = ${held("long", attend)}}
  return %o
}
`,
        arena,
      );
      const { nodes } = exportGraph(graph, { arena, target: ortCpu(), weights: reader() }).graph;
      const choice = nodes.find(({ opType }) => opType === "If")!;
      return ["then_branch", "else_branch"].map((name) => {
        const branch = choice.attributes.get(name)!;
        return branch.kind === "graph" ? branch.value.nodes.map(({ opType }) => opType) : [];
      });
    };
    const [short, long] = branches(1024);
    expect(short).toEqual(["Attention"]);
    expect(long).toContain("GroupQueryAttention");
    expect(long).not.toContain("If");
    expect(branches(512)[1]).toContain("If");
    expect(branches(2048)[0]).toContain("If");
  });
  it("is none where the positions of the model end before it pays", () => {
    const chosen = (positions: number) => {
      const arena = new Arena();
      const graph = parseGraph(
        `graph @g(%x: f32[1, 2, S, 32]) {
  %table: f32[${positions}, 32] = param() {name = "table"}
  %places: i64[S] = iota() {size = S}
  %rows: f32[S, 32] = gather(%table, %places)
  %q: f32[1, 2, S, 32] = add(%x, %rows)
  %o: f32[1, 2, S, 32] = attention(%q, %x, %x) {scale = 0.5, causal = true}
  return %o
}
`,
        arena,
      );
      const table = tensor("f32", [positions, 32]);
      const model = exportGraph(graph, { arena, target: ortCpu(), weights: reader(new Map([["table", table]])) });
      return operators(model);
    };
    expect(chosen(1023)).not.toContain("If");
    expect(chosen(1024)).toContain("If");
  });
  it("writes the causal mask into the model for middling static lengths", async () => {
    const model = await run({ causal: true, queries: 257, packed: true }, ortCpu(), undefined, ["all"]);
    expect(operators(model)).toEqual(["Attention"]);
    expect(model.graph.initializers.map(({ dims }) => dims)).toEqual([[1, 1, 257, 257]]);
  });
});

// ONNX's shape inference takes the number of keys for 0 where it is open, and a pick of the largest for malformed.
it("weights of an open number of keys may be read by any operator", async () => {
  const arena = new Arena();
  const b = arena.build;
  const input = (name: string, length: string) => b.input({ name, dtype: "f32", shape: [1, 2, symbol(length), 4] });
  const [q, k, v] = [input("q", "Q"), input("k", "K"), input("v", "K")];
  const [out, weights] = arena.node("attentionWithWeights", [q, k, v], { scale: 0.5, causal: false }).results as [
    Value,
    Value,
  ];
  const [top] = arena.node("topK", [weights], { k: 1, axis: 3 }).results as [Value, Value];
  const graph = graphOf(
    "picked",
    [q, k, v],
    [
      ["out", out],
      ["top", top],
    ],
  );
  for (const [queries, keys] of [
    [5, 7],
    [1, 1],
  ] as const) {
    const feeds = {
      q: tensor("f32", [1, 2, queries, 4]),
      k: tensor("f32", [1, 2, keys, 4], 2),
      v: tensor("f32", [1, 2, keys, 4], 3),
    };
    expect(operators(await check(arena, graph, new Map(Object.entries(feeds)), ortCpu()))).toContain("Attention");
  }
});

it("weights of two open numbers of keys are kept apart", async () => {
  const arena = new Arena();
  const b = arena.build;
  const input = (name: string, length: string) => b.input({ name, dtype: "f32", shape: [1, 2, symbol(length), 4] });
  const [q, k, q2, k2] = [input("q", "S"), input("k", "S"), input("q2", "S"), input("k2", "P")];
  const attend = (q: Value, k: Value) => arena.node("attentionWithWeights", [q, k, k], { scale: 0.5 }).results;
  const graph = graphOf(
    "apart",
    [q, k, q2, k2],
    [
      ["out", attend(q, k)[0]!],
      ["weights", attend(q2, k2)[1]!],
    ],
  );
  for (const [queries, keys] of [
    [17, 2],
    [3, 33],
  ] as const) {
    const feeds = {
      q: tensor("f32", [1, 2, queries, 4]),
      k: tensor("f32", [1, 2, queries, 4], 2),
      q2: tensor("f32", [1, 2, queries, 4], 3),
      k2: tensor("f32", [1, 2, keys, 4], 4),
    };
    const made = operators(await check(arena, graph, new Map(Object.entries(feeds)), ortCpu()));
    expect(made.filter((name) => name === "Attention")).toHaveLength(1);
  }
});

describe("a mask beside a bias of keys", () => {
  /** Rows of the first batch see nothing; `bias` is made of a count and a weight, or given as it is. */
  const made = async (bias: "counted" | "given", queries: number, within: boolean) => {
    const arena = new Arena();
    const row = bias === "counted" ? "%row" : "%given";
    const attend = (mask: string, added: string) => `attention(%q, %k, %v, ${mask}, ${added}) {scale = 0.5}`;
    const types = "%q: f32[2, 2, S, 4], %k: f32[2, 2, S, 4], %v: f32[2, 2, S, 4], %mask: bool[2, 1, S, S]";
    const branch = (name: string) =>
      `graph @${name}(${types}, %bias: f32[2, 2, 1, S]) {
    %o: f32[2, 2, S, 4] = ${attend("%mask", "%bias")}
    return %o
  }`;
    const graph = parseGraph(
      `graph @g(${types}, %count: i64[2, 1, 1, S], %given: f32[2, 2, 1, S], %yes: bool[]) {
  %slopes: f32[2, 1, 1] = param() {name = "slopes"}
  %float: f32[2, 1, 1, S] = cast(%count)
  %row: f32[2, 2, 1, S] = mul(%float, %slopes)
  %o: f32[2, 2, S, 4] = ${
    within
      ? `if(%yes, %q, %k, %v, %mask, ${row}) {whenTrue = ${branch("so")}, whenFalse = ${branch("else")}}`
      : attend("%mask", row)
  }
  return %o
}
`,
      arena,
    );
    const seen = tensor("bool", [2, 1, queries, queries], 4);
    const mask = Array.from(seen.data as Uint8Array, (bit, i) => (i < queries * queries ? 0 : Number(bit)));
    const feeds = {
      ...{ q: tensor("f32", [2, 2, queries, 4]), k: tensor("f32", [2, 2, queries, 4], 2) },
      ...{ v: tensor("f32", [2, 2, queries, 4], 3), mask: fromNumbers("bool", [2, 1, queries, queries], mask) },
      ...{ count: tensor("i64", [2, 1, 1, queries], 5), given: tensor("f32", [2, 2, 1, queries], 6) },
      yes: fromNumbers("bool", [], [1]),
    };
    const weights = new Map([["slopes", tensor("f32", [2, 1, 1], 7)]]);
    return check(arena, graph, new Map(Object.entries(feeds)), ortCpu(), { weights });
  };

  it.each([1, 15, 33])("is added where the bias is lost in the number that hides, %i queries", async (queries) => {
    expect(operators(await made("counted", queries, false))).toContain("Add");
    await made("counted", queries, true);
  });
  it("within a branch, of whose bias the graph around it knows", async () => {
    const ops = async (bias: "counted" | "given") => {
      const choice = (await made(bias, 5, true)).graph.nodes.find(({ opType }) => opType === "If")!;
      const branch = choice.attributes.get("then_branch")!;
      return branch.kind === "graph" ? branch.value.nodes.map(({ opType }) => opType) : [];
    };
    expect(await ops("counted")).toEqual(["Where", "Add", "Attention"]);
    expect(await ops("given")).toEqual(["Where", "Attention"]);
  });
  it("chooses from a bias that may be anything", async () => {
    expect(operators(await made("given", 17, false))).not.toContain("Add");
  });
});
