import { fail } from "../ir/diagnostics.ts";
import type { Value } from "../ir/graph.ts";
import { sameType, showType } from "../ir/types.ts";
import { authored, type Builder, run } from "./builder.ts";
import { checkOptions, describe } from "./checks.ts";
import { closed } from "./closure.ts";
import type { Tensors } from "./scan.ts";
import type { Shape } from "./shape-types.ts";
import { asTensor, type DTypeOf, Tensor, wrap } from "./tensor.ts";

export interface CondOptions {
  /** The branch that is expected to run: costs are counted for it. */
  readonly expected?: "whenTrue" | "whenFalse";
}

/**
 * One of two branches, chosen when the model runs by a rank-0 bool. Both answer one tensor, or several by the same names,
 * of the same types. Only the branch chosen is computed; what was declared before is computed anyway.
 * Throws QKV106, QKV107, QKV109, QKV120.
 */
export function cond<T extends Tensor>(
  condition: Tensor,
  whenTrue: () => T,
  whenFalse: () => Tensor,
  options?: CondOptions,
): Tensor<Shape, DTypeOf<T>>;
export function cond<T extends Tensors>(
  condition: Tensor,
  whenTrue: () => T,
  whenFalse: () => { readonly [K in keyof T]: Tensor },
  options?: CondOptions,
): { readonly [K in keyof T]: Tensor<Shape, DTypeOf<T[K]>> };
export function cond(condition: Tensor, whenTrue: unknown, whenFalse: unknown, options?: CondOptions): unknown {
  return run(cond as never, [condition], (b) => {
    const test = asTensor(b, condition, "condition");
    if (test.dtype !== "bool" || test.rank > 0)
      fail("QKV109", `cond: the condition is ${showType(test.value.type)}, not a bool without axes`);
    const { expected = "" } = checkOptions(options, ["expected"], "cond");
    if (!["", "whenTrue", "whenFalse"].includes(expected)) fail("QKV120", `cond: expected is ${describe(expected)}`);
    const before = b.arena.size;
    const [yes, no] = [answerOf(b, whenTrue, "whenTrue"), answerOf(b, whenFalse, "whenFalse")];
    const branches = [
      { name: "whenTrue", outputs: yes },
      { name: "whenFalse", outputs: sameAnswers(yes, no) },
    ];
    const { graphs, captures } = closed(b, branches, [], "branch", ({ id, op }) => id >= before && op !== "input");
    const attrs = { whenTrue: graphs[0], whenFalse: graphs[1], expected };
    const { results } = b.arena.node("if", [test.value, ...captures], attrs);
    if (yes.length === 1 && yes[0]![0] === single) return wrap(b, results[0]!);
    return Object.fromEntries(yes.map(([name], i) => [name, wrap(b, results[i]!)]));
  });
}

type Named = readonly (readonly [name: string, value: Value])[];

/** What the only answer of a branch is called. */
const single = "result";

/** Runs the author's branch. */
function answerOf(b: Builder, branch: unknown, name: string): Named {
  if (typeof branch !== "function") return fail("QKV106", `cond: ${name} is ${describe(branch)}, not a function`);
  b.depth++;
  try {
    const answer: unknown = authored(b, () => branch());
    if (answer instanceof Tensor) return [[single, asTensor(b, answer, name).value]];
    if (typeof answer !== "object" || answer === null || Object.keys(answer).length === 0)
      return fail("QKV106", `cond: ${name} answers ${describe(answer)}, not tensors`, { help: "return a tensor" });
    return Object.entries(answer).map(([key, x]) => [key, asTensor(b, x, `${name}: ${describe(key)}`).value] as const);
  } finally {
    b.depth--;
  }
}

/** The answers of the other branch in the order of the first. */
function sameAnswers(yes: Named, no: Named): Named {
  const others = new Map(no);
  const extra = no.find(([name]) => !yes.some(([other]) => other === name));
  if (extra) fail("QKV106", `cond: only whenFalse answers ${describe(extra[0])}`);
  return yes.map(([name, value]) => {
    const other = others.get(name) ?? fail("QKV106", `cond: only whenTrue answers ${describe(name)}`);
    if (!sameType(value.type, other.type))
      fail(value.type.dtype === other.type.dtype ? "QKV107" : "QKV109", "cond: the branches answer different types", {
        notes: [`whenTrue: ${showType(value.type)}    whenFalse: ${showType(other.type)}`],
      });
    return [name, other] as const;
  });
}
