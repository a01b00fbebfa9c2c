import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import {
  attention,
  input,
  type MaskFunction,
  model,
  type ScoreFunction,
  type ScoreIndex,
  type Shape,
  type Tensor,
} from "../../src/index.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";

/**
 * What has no formula is one error. `at` is the text in this very file that the error points at: it stands there once
 * more, within the test, which the line tells apart.
 */
const file = fileURLToPath(import.meta.url);
type Ids = Tensor<Shape, "i64">;
const lines = readFileSync(file, "utf8").split("\n");

function failureOf(options: (doc: Ids) => object): QkvError {
  const declared = model("refused", () => {
    const q = input("q", "f32", ["batch", 2, 8, 4]);
    const doc = input("doc", "i64", ["batch", 8]);
    return { y: attention(q, q, q, options(doc) as never) };
  });
  try {
    declared.build();
  } catch (error) {
    if (error instanceof QkvError) return error;
    throw error;
  }
  throw new Error("nothing was wrong");
}

const table = [1, 2, 3];
const ragged = [[1], [2, 3]];
const texts = ["a", "b", "c", "d", "e", "f", "g", "h"];
let outer = 0;
const bound = ((at: ScoreIndex) => at.k <= at.q).bind(undefined);
const places = new Map([[0, 5]]);
const big = 5n;
const bigs = [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n];
const forever = ({ q, k }: ScoreIndex): boolean => k === q || forever({ b: 0, h: 0, q: q - 1, k });
const owner = {
  size: 3,
  mask({ q }: ScoreIndex) {
    return q < this.size;
  },
};
declare const missing: number;
const setting = "wide";
const other: { tensor?: Tensor } = {};
model("other", () => {
  other.tensor = input("x", "f32", [8]);
  return { y: other.tensor };
}).build();

const masks: readonly (readonly [code: string, at: string, fn: (doc: Ids) => unknown])[] = [
  ["QKV140", "", () => Math.abs],
  ["QKV140", "async", () => async () => true],
  ["QKV140", "*generator", () => ({ *generator() {} }).generator],
  [
    "QKV141",
    "missing",
    () =>
      ({ q }: { q: number }) =>
        q < missing,
  ],
  [
    "QKV141",
    "wrong",
    () =>
      ({ wrong }: { wrong: number }) =>
        wrong > 0,
  ],
  [
    "QKV142",
    "while",
    () => () => {
      while (outer < 1) {}
      return true;
    },
  ],
  [
    "QKV142",
    "try",
    () => () => {
      try {
        return true;
      } finally {
        outer.toString();
      }
    },
  ],
  [
    "QKV142",
    "throw",
    () =>
      ({ q }: { q: number }) => {
        if (q > 3) throw new Error("too far");
        return true;
      },
  ],
  [
    "QKV142",
    "for (const key in table)",
    () => () => {
      for (const key in table) if (key === "1") return false;
      return true;
    },
  ],
  ["QKV143", "new", () => () => new Set([1]).has(1)],
  [
    "QKV143",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the text of a template
    "`${q}`",
    () =>
      ({ q }: { q: number }) =>
        `${q}` === "1",
  ],
  [
    "QKV144",
    "Math.random",
    () =>
      ({ q }: { q: number }) =>
        Math.random() > q,
  ],
  [
    "QKV144",
    "console.log",
    () =>
      ({ q }: { q: number }) => {
        console.log(q);
        return true;
      },
  ],
  ["QKV144", "bound", () => (at: ScoreIndex) => bound(at)],
  ["QKV140", "", () => bound],
  ["QKV144", "BigInt", () => (at: ScoreIndex) => BigInt(at.q) > 3],
  ["QKV144", "places.get", () => (at: ScoreIndex) => places.get(at.q)! > 3],
  [
    "QKV144",
    "list.push",
    () =>
      ({ q }: { q: number }) => {
        const list = [1];
        list.push(q);
        return list.length > 1;
      },
  ],
  [
    "QKV144",
    "held.list.reverse",
    () =>
      ({ q }: { q: number }) => {
        const held = { list: [1, 2] };
        return held.list.reverse()[0]! > q;
      },
  ],
  ["QKV143", "this", () => owner.mask],
  ["QKV143", "5n", () => (at: ScoreIndex) => at.q > 5n],
  ["QKV151", "big", () => (at: ScoreIndex) => at.q > big],
  ["QKV151", "bigs[at.q]", () => (at: ScoreIndex) => bigs[at.q] === bigs[at.k]],
  ["QKV152", "", () => forever],
  ["QKV146", "Number(at.q > 3) &", () => (at: ScoreIndex) => Number(at.q > 3) & Number(at.k > 3)],
  ["QKV153", "k: number", () => (q: number, k: number) => k <= q],
  ["QKV148", "at.q", () => (at: ScoreIndex) => at.q < 5 && table[at.q]! > 1],
  ["QKV148", "at.q - at.k", () => (at: ScoreIndex) => (at.q > 2 ? true : table[at.q - at.k]! > 1)],
  [
    "QKV145",
    "list[0]",
    () =>
      ({ q }: { q: number }) => {
        const list = [1];
        list[0] = q;
        return list.length > 1;
      },
  ],
  ["QKV144", "Date.now", () => () => Date.now() > 0],
  [
    "QKV145",
    "outer",
    () =>
      ({ q }: { q: number }) => {
        outer = q;
        return true;
      },
  ],
  [
    "QKV146",
    "q - k",
    () =>
      ({ q, k }: { q: number; k: number }) =>
        q - k,
  ],
  [
    "QKV146",
    "if (q > 1)",
    () =>
      ({ q }: { q: number }) => {
        if (q > 1) return true;
      },
  ],
  [
    "QKV147",
    "i < q",
    () =>
      ({ q }: { q: number }) => {
        let n = 0;
        for (let i = 0; i < q; i++) n += i;
        return n > 2;
      },
  ],
  [
    "QKV147",
    "i < doc[0]![q]!",
    (doc) =>
      ({ q }: { q: number }) => {
        for (let i = 0; i < doc[0]![q]!; i++) {}
        return true;
      },
  ],
  [
    "QKV148",
    "q",
    () =>
      ({ q }: { q: number }) =>
        table[q]! > 1,
  ],
  ["QKV148", "table[3]", () => () => table[3]! > 1],
  [
    "QKV149",
    "q / 2",
    () =>
      ({ q }: { q: number }) =>
        table[q / 2]! > 1,
  ],
  [
    "QKV149",
    "ragged[q]",
    () =>
      ({ q }: { q: number }) =>
        ragged[q]![0]! > 1,
  ],
  [
    "QKV149",
    "doc",
    (doc) =>
      ({ q }: { q: number }) =>
        (doc as unknown as number) > q,
  ],
  [
    "QKV149",
    "doc[q]",
    (doc) =>
      ({ q }: { q: number }) =>
        (doc[q] as number) > q,
  ],
  [
    "QKV150",
    "k < q",
    () =>
      ({ q, k }: { q: number; k: number }) =>
        ((k < q) as unknown) === 1,
  ],
  [
    "QKV151",
    "texts[q]",
    () =>
      ({ q }: { q: number }) =>
        texts[q] === "a",
  ],
  [
    "QKV151",
    "setting",
    () =>
      ({ q }: { q: number }) =>
        q < (setting as unknown as number),
  ],
  [
    "QKV152",
    "i++",
    () =>
      ({ q }: { q: number }) => {
        let n = q;
        for (let i = 0; i < 1e6; i++) n += q;
        return n > 0;
      },
  ],
  [
    "QKV105",
    "other.tensor",
    () =>
      ({ q }: { q: number }) =>
        (other.tensor![q] as number) > 0,
  ],
];

describe("a mask", () => {
  test.each(masks)("%s at %s", (code, at, fn) => {
    const error = failureOf((doc) => ({ mask: fn(doc) as MaskFunction }));
    expect(`${error.code} ${error.message}`).toContain(code);
    const { location, help } = error.details;
    expect(location?.file).toBe(file);
    if (at === "" || code === "QKV152") return;
    expect(lines[location!.line - 1]!.slice(location!.column - 1), error.message).toMatch(startingWith(at));
    expect(`${code}${help ?? ""}`.length).toBeGreaterThan(0);
  });
});

const startingWith = (text: string) => new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`);

test.each<[string, object]>([
  ["a score that answers truth", { score: ((s: number) => s > 0) as unknown as ScoreFunction }],
  [
    "a score that answers nothing for some indices",
    {
      score: ((s: number, { q }: ScoreIndex) => {
        let x: number | undefined;
        if (q > 3) x = s;
        return x;
      }) as unknown as ScoreFunction,
    },
  ],
  ["a score that answers nothing", { score: (() => undefined) as unknown as ScoreFunction }],
  ["a prob that answers truth", { prob: ((p: number) => p > 0) as unknown as ScoreFunction }],
])("%s", (_, options) => {
  const error = failureOf(() => options);
  expect(error.code).toBe("QKV146");
  expect(error.details.location?.file).toBe(file);
});

test.each([3, "causal", {}])("a score that is %o", (score) => {
  expect(failureOf(() => ({ score })).code).toBe("QKV140");
});
