import { fail, QkvError } from "../../ir/diagnostics.ts";
import { type HostTensor, hostTensor } from "../../ir/tensor.ts";
import { describe, positiveInteger } from "../checks.ts";
import type { MaskFunction, ScoreFunction, ScoreIndex } from "./lift.ts";

/** How many sequences, query heads, queries and keys a table has; one sequence and one head by default. */
export interface TableSizes {
  readonly B?: number;
  readonly H?: number;
  readonly Q: number;
  readonly K: number;
}

/**
 * What a mask function answers when it is called with numbers, as bool [B, H, Q, K]: the truth that compiled masks are
 * tested against. A function that reads a tensor is made from an array here: `documents(ids)` for what the model makes as
 * `documents(doc)`. Throws QKV101, QKV146, QKV154.
 */
export function maskTable(fn: MaskFunction, sizes: TableSizes): HostTensor {
  const dims = dimsOf(sizes);
  const data = new Uint8Array(dims.reduce((product, dim) => product * dim, 1));
  forEach(dims, (at, i) => {
    const answer = called("mask", at, () => fn(at));
    if (typeof answer !== "boolean") refused("mask", answer, at);
    data[i] = Number(answer);
  });
  return hostTensor("bool", dims, data);
}

/**
 * What a score or prob function answers for scores `s` (0 by default), as f64 [B, H, Q, K]. Throws QKV101, QKV146, QKV154.
 */
export function scoreTable(
  fn: ScoreFunction,
  sizes: TableSizes,
  s: number | ((at: ScoreIndex) => number) = 0,
): HostTensor {
  const dims = dimsOf(sizes);
  const data = new Float64Array(dims.reduce((product, dim) => product * dim, 1));
  forEach(dims, (at, i) => {
    const answer = called("score", at, () => fn(typeof s === "number" ? s : s(at), at));
    if (typeof answer !== "number") refused("score", answer, at);
    data[i] = answer as number;
  });
  return hostTensor("f64", dims, data);
}

function dimsOf({ B = 1, H = 1, Q, K }: TableSizes): readonly [number, number, number, number] {
  for (const [name, size] of Object.entries({ B, H, Q, K })) positiveInteger(size, name);
  return [B, H, Q, K];
}

function forEach(
  [B, H, Q, K]: readonly [number, number, number, number],
  visit: (at: ScoreIndex, i: number) => void,
): void {
  let i = 0;
  for (let b = 0; b < B; b++)
    for (let h = 0; h < H; h++) for (let q = 0; q < Q; q++) for (let k = 0; k < K; k++) visit({ b, h, q, k }, i++);
}

/** Calls a function of the author's; what it throws is one error that says where. */
function called(kind: "mask" | "score", { b, h, q, k }: ScoreIndex, call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    if (error instanceof QkvError) throw error;
    const text = error instanceof Error ? `${error.name}: ${error.message}` : describe(error);
    const wrapped = new QkvError("QKV154", `the ${kind} threw ${text} at b = ${b}, h = ${h}, q = ${q}, k = ${k}`, {
      help: "tensors of a model have no elements here: make the function from arrays, as in documents(ids)",
    });
    wrapped.cause = error;
    throw wrapped;
  }
}

const refused = (kind: "mask" | "score", answer: unknown, { b, h, q, k }: ScoreIndex): never =>
  fail("QKV146", `the ${kind} answers ${describe(answer)} at b = ${b}, h = ${h}, q = ${q}, k = ${k}`, {
    help: kind === "mask" ? "a mask answers true or false" : "a score is a number",
  });
