import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { compile } from "../../src/compile.ts";
import {
  attention,
  type Built,
  input,
  type MaskFunction,
  maskTable,
  model,
  param,
  randomFeeds,
  type ScoreFunction,
  session,
  type Tensor,
} from "../../src/index.ts";
import { attrsOf } from "../../src/ir/arena.ts";
import { formulaText } from "../../src/ir/index-expr/text.ts";
import { fromNumbers, type HostTensor } from "../../src/ir/tensor.ts";

/** Functions that read tensors of the model, against the same attention with the tensor written out. */
const sizes = new Map([
  ["batch", 2],
  ["seq", 17],
]);

async function output(declared: Parameters<typeof compile>[0], extra: readonly [string, HostTensor][], naive = false) {
  const compiled = await compile(declared, { naive });
  const feeds = new Map([...randomFeeds(compiled.declared, sizes, 3), ...extra]);
  const runner = await session(compiled);
  const { data } = (await runner.run(feeds)).get("y")!;
  await runner.close();
  return Array.from(data as Float32Array);
}

const close = (x: readonly number[], y: readonly number[]) =>
  expect(Math.max(...x.map((value, i) => Math.abs(value - y[i]!)))).toBeLessThan(1e-5);

const ids = fromNumbers(
  "i64",
  [2, 17],
  Array.from({ length: 34 }, (_, i) => Math.floor((i % 17) / (i < 17 ? 5 : 3))),
);
const mask = fromNumbers(
  "bool",
  [2, 1, 17, 17],
  Array.from({ length: 578 }, (_, i) => {
    const [b, q, k] = [Math.floor(i / 289), Math.floor(i / 17) % 17, i % 17];
    return Number(ids.data[b * 17 + q] === ids.data[b * 17 + k] && k <= q);
  }),
);

const written = model("written", () => {
  const q = input("q", "f32", ["batch", 2, "seq", 4]);
  return { y: attention(q, q, q, { mask: input("mask", "bool", ["batch", 1, "seq", "seq"]) }) };
});

test.each([false, true])("documents given at run time, naive %o", async (naive) => {
  const lifted = model("lifted", () => {
    const q = input("q", "f32", ["batch", 2, "seq", 4]);
    const doc = input("doc", "i64", ["batch", "seq"]);
    return { y: attention(q, q, q, { mask: ({ b, q, k }) => doc[b]![q] === doc[b]![k] && k <= q }) };
  });
  close(await output(lifted, [["doc", ids]], naive), await output(written, [["mask", mask]]));
});

test("a bool tensor read by a function, indices that fit no axis", async () => {
  const lifted = model("lifted", () => {
    const q = input("q", "f32", ["batch", 2, "seq", 4]);
    const seen = input("seen", "bool", ["batch", 1, "seq", "seq"]);
    return { y: attention(q, q, q, { mask: ({ b, h, q, k }) => !!seen[b]![Math.floor(h / 2)]![q]![k] }) };
  });
  close(await output(lifted, [["seen", mask]]), await output(written, [["mask", mask]]));
});

test("a trained bias, heads shared by groups, a soft cap around it", async () => {
  const declared = (spelled: boolean) =>
    model("bias", () => {
      const q = input("q", "f32", ["batch", 4, "seq", 4]);
      const k = input("k", "f32", ["batch", 2, "seq", 4]);
      const table = param("table", [4, 64]);
      const at = (h: number, q: number, k: number) => table[h]![q - k + 32]!;
      const score = spelled
        ? (s: number, { h, q, k }: { h: number; q: number; k: number }) => s + at(h, q, k)
        : (s: number, { h, q, k }: { h: number; q: number; k: number }) => (s > -1e30 ? s + at(h, q, k) : s * 2);
      return { y: attention(q, k, k, { score }) };
    });
  close(await output(declared(true), []), await output(declared(false), []));
});

test("what the attention op can say it says", () => {
  const node = ({ graph }: Built) => graph.outputs[0]!.value.node;
  const built = (options: object) =>
    node(
      model("said", () => {
        const q = input("q", "f32", ["batch", 2, "seq", 4]);
        return { y: attention(q, q, q, options) };
      }).build(),
    );
  const causal = built({ mask: ({ q, k }: { q: number; k: number }) => q >= k });
  expect([attrsOf(causal, "attention").causal, causal.operands.length]).toEqual([true, 3]);
  const window = attrsOf(built({ mask: ({ q, k }: { q: number; k: number }) => k <= q && q - k < 4 }), "attention");
  expect([window.causal, formulaText(window.mask)]).toEqual([true, "q - k < 4"]);
  const slopes = [1, 0.5];
  const heads = built({
    score: (s: number, { h, k }: { h: number; k: number }) => (k < 1 ? -Infinity : s + slopes[h]!),
  });
  const { mask, score, tables } = attrsOf(heads, "attention");
  expect([formulaText(mask), formulaText(score), tables]).toEqual(["k >= 1", "s + table0[h]", 1]);
  expect(heads.operands[3]!.type.shape).toEqual([2]);
});

const documents =
  (doc: Tensor | readonly (readonly number[])[]): MaskFunction =>
  ({ b, q, k }) =>
    doc[b]![q] === doc[b]![k] && k <= q;

test("a function of what it reads is made from a tensor in the model, and from arrays for its table", async () => {
  const lifted = model("lifted", () => {
    const q = input("q", "f32", ["batch", 2, "seq", 4]);
    return { y: attention(q, q, q, { mask: documents(input("doc", "i64", ["batch", "seq"])) }) };
  });
  const rows = [0, 1].map((b) => Array.from({ length: 17 }, (_, i) => Number(ids.data[b * 17 + i])));
  expect([...maskTable(documents(rows), { B: 2, Q: 17, K: 17 }).data]).toEqual([...mask.data]);
  close(await output(lifted, [["doc", ids]]), await output(written, [["mask", mask]]));
});

test.each([false, true])("lengths of the attention within a function, symbolic %o", async (open) => {
  const declared = (spelled: boolean) =>
    model("aligned", () => {
      const q = input("q", "f32", [open ? "batch" : 2, 2, open ? "queries" : 5, 4]);
      const k = input("k", "f32", [open ? "batch" : 2, 2, open ? "keys" : 17, 4]);
      const keys = k.dim(2) as number;
      const aligned: MaskFunction = (at) => at.k - at.q <= keys - Number(q.dim(2));
      return { y: attention(q, k, k, { mask: spelled ? ({ q, k }) => k - q <= 12 : aligned }) };
    });
  const lengths = new Map(open ? [...sizes, ["queries", 5] as const, ["keys", 17] as const] : []);
  const run = async (spelled: boolean) => {
    const compiled = await compile(declared(spelled));
    const runner = await session(compiled);
    const { data } = (await runner.run(randomFeeds(compiled.declared, lengths, 3))).get("y")!;
    await runner.close();
    return Array.from(data as Float32Array);
  };
  close(await run(false), await run(true));
});

test("an index past the end of a tensor is refused where its length becomes known", async () => {
  const declared = (mask: (doc: Tensor, seq: Tensor) => MaskFunction) =>
    model("past the end of a tensor", () => {
      const q = input("q", "f32", ["batch", 2, "seq", 4]);
      const doc = input("doc", "i64", ["batch", "documents"]);
      return { y: attention(q, q, q, { mask: mask(doc, q) }) };
    });
  const run = async (documents: number, mask: (doc: Tensor) => MaskFunction) => {
    const compiled = await compile(declared(mask));
    const runner = await session(compiled);
    const sizes = new Map([
      ["batch", 2],
      ["seq", 6],
      ["documents", documents],
    ]);
    await runner.run(randomFeeds(compiled.declared, sizes, 3)).finally(() => runner.close());
  };
  await run(
    6,
    (doc) =>
      ({ b, q, k }) =>
        doc[b]![q] === doc[b]![k],
  );
  await expect(
    run(
      5,
      (doc) =>
        ({ b, q, k }) =>
          doc[b]![q] === doc[b]![k],
    ),
  ).rejects.toThrow("at q = 5 the index is 5, outside of doc, which has 5 there");
  await expect(
    run(
      6,
      (doc) =>
        ({ b, q }) =>
          doc[q]![b] === 0,
    ),
  ).rejects.toThrow(/at q = \d the index is \d, outside of doc/);
  // What is read from a tensor is not known before it is read.
  await run(
    2,
    (doc) =>
      ({ b, k }) =>
        k < 2 && doc[b]![doc[b]![k]!] === 0,
  );
});

test("an index past the end of its table is refused where lengths become known", async () => {
  const table = Array.from({ length: 20 }, (_, i) => i / 10);
  const declared = (score: ScoreFunction) =>
    model("past the end", () => {
      const q = input("q", "f32", ["batch", 2, "seq", 4]);
      return { y: attention(q, q, q, { score }) };
    });
  const wrong = declared((s, { q, k }) => (k <= q ? s + table[q - k]! : s));
  const refused = expect.objectContaining({
    code: "QKV148",
    message: expect.stringContaining("outside of table, which has 20 there"),
    details: expect.objectContaining({ location: expect.objectContaining({ file: fileURLToPath(import.meta.url) }) }),
  });
  await expect(compile(wrong, { dims: new Map([["seq", 21]]) })).rejects.toThrow(refused);
  await expect(compile(wrong, { hints: new Map([["seq", 300]]) })).rejects.toThrow(refused);
  await compile(wrong, { dims: new Map([["seq", 20]]) });
  const compiled = await compile(wrong);
  const runner = await session(compiled);
  const feeds = (seq: number) =>
    randomFeeds(
      compiled.declared,
      new Map([
        ["batch", 1],
        ["seq", seq],
      ]),
      3,
    );
  expect((await runner.run(feeds(20))).get("y")!.dims).toEqual([1, 2, 20, 4]);
  await expect(runner.run(feeds(21))).rejects.toThrow(refused);
  expect(() => runner.bind(feeds(65))).toThrow(refused);
  await runner.close();
  const right = await session(await compile(declared((s, { q, k }) => s + (table[Math.abs(q - k)] ?? 9))));
  await right.run(feeds(65));
  await right.close();
});
