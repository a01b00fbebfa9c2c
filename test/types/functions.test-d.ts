import {
  attention,
  input,
  type MaskFunction,
  maskTable,
  model,
  type ProbFunction,
  type ScoreFunction,
  type ScoreIndex,
  scoreTable,
} from "qkv";

/** What the editor knows of mask, score and prob functions: a line that should be wrong and is not is an unused directive. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <A, B>(_: Same<A, B>): void => undefined;

export const functions = model("functions", { window: 4 }, ({ window }) => {
  const q = input("q", "f32", ["batch", 8, "seq", 64]);
  const doc = input("doc", "i64", ["batch", "seq"]);
  const seen = input("seen", "bool", ["batch", "seq"]);

  attention(q, q, q, {
    mask: (at) => {
      is<typeof at, ScoreIndex>(true);
      return at.q >= at.k;
    },
    score: (s, at) => {
      is<typeof s, number>(true);
      is<typeof at, ScoreIndex>(true);
      return s;
    },
    prob: (p, { h }) => (h === 0 ? p : 0),
  });
  attention(q, q, q, { mask: ({ b, q, k }) => doc[b]![q] === doc[b]![k] && q - k < window });
  attention(q, q, q, { mask: ({ b, k }) => !!seen[b]![k] });
  attention(q, q, q, { mask: ({ b, k }) => seen[b]![k]! });
  attention(q, q, q, { mask: ({ b, q, k }) => k <= q && seen[b]![k]! });
  attention(q, q, q, { score: (s, { h, q, k }) => s - 2 ** -(h + 1) * (q - k) });

  // @ts-expect-error a mask answers true or false
  attention(q, q, q, { mask: ({ q, k }) => q - k });
  // @ts-expect-error on every path
  attention(q, q, q, { mask: ({ q, k }) => (q > k ? true : undefined) });
  // @ts-expect-error a score is a number
  attention(q, q, q, { score: (_, { q, k }) => q >= k });
  // @ts-expect-error a score is a number, and no promise of one
  attention(q, q, q, { score: async (s) => s });
  // @ts-expect-error indices are b, h, q and k
  attention(q, q, q, { mask: ({ query, k }) => query >= k });
  // @ts-expect-error one object of indices, not two numbers
  attention(q, q, q, { mask: (q: number, k: number) => q >= k });
  // @ts-expect-error the score comes first
  attention(q, q, q, { score: ({ q, k }) => q - k });
  // @ts-expect-error indices are numbers that cannot be set
  attention(q, q, q, { mask: (at) => (at.q = 1) > at.k });

  return { q };
});

/** Mask algebra is typed without being told so. */
const causal: MaskFunction = ({ q, k }) => k <= q;
const and =
  (...masks: readonly MaskFunction[]): MaskFunction =>
  (at) =>
    masks.every((mask) => mask(at));
is<ReturnType<typeof and>, MaskFunction>(true);
is<Parameters<ScoreFunction>, [s: number, at: ScoreIndex]>(true);
is<ReturnType<ProbFunction>, number>(true);

maskTable(
  and(causal, ({ q, k }) => q - k < 4),
  { Q: 4, K: 4 },
);
scoreTable(
  (s, { q }) => s + q,
  { Q: 4, K: 4 },
  ({ k }) => k,
);
// @ts-expect-error how many queries and keys is to be said
maskTable(causal, { Q: 4 });
