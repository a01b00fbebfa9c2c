import { compile } from "../../../src/compile.ts";
import { activeBuilder } from "../../../src/dsl/builder.ts";
import { type FunctionKind, liftFunction } from "../../../src/dsl/lift/lift.ts";
import { wrap } from "../../../src/dsl/tensor.ts";
import { input, model, session, type Tensor } from "../../../src/index.ts";
import { lowerFormula } from "../../../src/ir/index-expr/lower.ts";
import type { Lengths } from "../../../src/ir/index-expr/types.ts";
import { hostTensor } from "../../../src/ir/tensor.ts";

export interface Sizes {
  readonly B: number;
  readonly H: number;
  readonly Q: number;
  readonly K: number;
}

export interface Way {
  /** Lengths are not known when the functions are lifted. */
  readonly open: boolean;
  readonly naive: boolean;
}

/** Scores that a score function is tried on, one after the other along the indices. */
const someScores = [-2.7, 0, 0.3, 5, -0.75, 1];
export const scoreAt = (i: number): number => someScores[i % someScores.length]!;

/**
 * What functions answer when they are lifted, written as dense tensors and run in the runtime, in f64: for each the
 * values [B, H, Q, K], or undefined where it has no formula at these lengths.
 */
export async function runtimeTables(
  fns: readonly unknown[],
  kind: FunctionKind,
  sizes: Sizes,
  { open, naive }: Way,
): Promise<readonly ArrayLike<number>[]> {
  const declared = model("tables", () => {
    const dims = open ? (["B", "H", "Q", "K"] as const) : [sizes.B, sizes.H, sizes.Q, sizes.K];
    const s = input("s", "f64", dims);
    const [B, H, Q, K] = s.value.type.shape;
    const lengths = { B, H, Q, K } as Lengths;
    const builder = activeBuilder()!;
    const { build } = builder.arena;
    const tables: Record<string, Tensor> = {};
    fns.forEach((fn, i) => {
      const options = { build, lengths, score: s.value, dtype: "f64" } as const;
      const value = lowerFormula(liftFunction(fn, kind, lengths), options);
      const numbers = value.type.dtype === "bool" ? build.cast(value, { to: "f64" }) : value;
      tables[`y${i}`] = wrap(builder, build.broadcast(numbers, { shape: s.value.type.shape }));
    });
    return tables;
  });
  const runner = await session(await compile(declared, { naive }));
  const count = sizes.B * sizes.H * sizes.Q * sizes.K;
  const scores = Float64Array.from({ length: count }, (_, i) => scoreAt(i));
  const answer = await runner.run(new Map([["s", hostTensor("f64", [sizes.B, sizes.H, sizes.Q, sizes.K], scores)]]));
  await runner.close();
  return fns.map((_, i) => answer.get(`y${i}`)!.data as Float64Array);
}

/** How far `got` is from `expected`, at most: relative where numbers are large; 0 where both are NaN or the same. */
export function distance(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const [x, y] = [Number(got[i]), Number(expected[i])];
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    const far = Math.abs(x - y) / Math.max(1, Math.abs(y));
    worst = Math.max(worst, Number.isNaN(far) ? Number.POSITIVE_INFINITY : far);
  }
  return worst;
}
