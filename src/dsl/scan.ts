import { fail } from "../ir/diagnostics.ts";
import { show } from "../ir/dim.ts";
import type { Value } from "../ir/graph.ts";
import { sameType, showType } from "../ir/types.ts";
import { authored, type Builder, run } from "./builder.ts";
import { checkAxis, checkOptions, describe } from "./checks.ts";
import { closed } from "./closure.ts";
import { permute } from "./movement.ts";
import type { Shape } from "./shape-types.ts";
import { asTensor, type DTypeOf, Tensor, wrap } from "./tensor.ts";

/** Tensors by the names an author gives them. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** What one step answers: the next states by name, and what is to be stacked, if anything. */
export interface Step<S extends Tensors, Y extends Tensors> {
  readonly states: { readonly [K in keyof S]: Tensor };
  readonly outputs?: Y;
}

/** The states after the last step, and the outputs of all steps, stacked. */
export interface ScanResult<S extends Tensors, Y extends Tensors> {
  readonly states: S;
  readonly outputs: { readonly [K in keyof Y]: Tensor<Shape, DTypeOf<Y[K]>> };
}

export interface ScanOptions {
  /** Axis of the sequences that is walked along, and that outputs are stacked along; 0 by default. */
  readonly axis?: number;
}

/**
 * A recurrence: `step` is declared once and runs for each position along an axis of `sequences`, first to last. It
 * is given the states and one slice of each sequence, without the axis, and answers the next states, of the same types.
 * What it uses of the model around it and does not depend on states or slices is computed once, before.
 * Throws QKV106, QKV107, QKV109, QKV110, QKV120.
 */
export function scan<S extends Tensors, X extends Tensors, Y extends Tensors = Record<never, never>>(
  initial: S,
  sequences: X,
  step: (states: { readonly [K in keyof S]: S[K] }, slices: { readonly [K in keyof X]: Tensor }) => Step<S, Y>,
  options?: ScanOptions,
): ScanResult<S, Y> {
  return run(scan, [], (b) => {
    const { axis = 0 } = checkOptions(options, ["axis"], "scan");
    const states = named(b, initial, "state");
    const scanned = named(b, sequences, "sequence").map(([name, x]) => [name, moved(b, x, axis, 0)] as const);
    checkLengths(scanned);
    const inputs = {
      states: states.map(([name, x]) => [name, inside(b, name, x.shape, x)] as const),
      slices: scanned.map(([name, x]) => [name, inside(b, name, x.shape.slice(1), x)] as const),
    };
    const answer = traced(b, step as Trace, Object.fromEntries(inputs.states), Object.fromEntries(inputs.slices));
    const next = nextStates(b, states, answer.states);
    const outputs = named(b, answer.outputs ?? {}, "output");
    const given = [...inputs.states, ...inputs.slices].map(([, { value }]) => value);
    const ends = [
      ...next.map((value, i) => [`next.${states[i]![0]}`, value] as const),
      ...outputs.map(([name, { value }]) => [`stacked.${name}`, value] as const),
    ];
    // What does not depend on the step is computed once, before.
    const { graphs, captures } = closed(b, [{ name: "step", outputs: ends }], given, "step", ({ operands }, inside) =>
      operands.some((value) => inside.has(value.node)),
    );
    const [body] = graphs;
    const operands = [...[...states, ...scanned].map(([, { value }]) => value), ...captures];
    const attrs = { body, states: states.length, sequences: scanned.length };
    const results = b.arena.node("scan", operands, attrs).results.map((value) => wrap(b, value));
    const stacked = outputs.map(([name], i) => [name, moved(b, results[states.length + i]!, 0, axis)] as const);
    return {
      states: Object.fromEntries(states.map(([name], i) => [name, results[i]!])),
      outputs: Object.fromEntries(stacked),
    };
  }) as unknown as ScanResult<S, Y>;
}

type Trace = (states: Tensors, slices: Tensors) => unknown;
type Named = readonly (readonly [name: string, x: Tensor])[];

function named(b: Builder, tensors: unknown, what: string): Named {
  if (typeof tensors !== "object" || tensors === null || Array.isArray(tensors) || tensors instanceof Tensor)
    return fail("QKV106", `scan: the ${what}s are ${describe(tensors)}; write { name: tensor }`);
  return Object.entries(tensors).map(([name, x]) => [name, asTensor(b, x, `the ${what} ${describe(name)}`)] as const);
}

/** `x` with the axis `from` moved to `to`. */
function moved(b: Builder, x: Tensor, from: number, to: number): Tensor {
  const source = checkAxis(from, x.rank, "scan");
  const order = x.shape.map((_, axis) => axis).filter((axis) => axis !== source);
  order.splice(checkAxis(to, x.rank, "scan"), 0, source);
  return permute(b, x, order);
}

function checkLengths(sequences: Named): void {
  const [first, ...rest] = sequences;
  if (!first) fail("QKV106", "scan: there is no sequence", { help: "its length says how many steps there are" });
  const other = rest.find(([, { shape }]) => shape[0] !== first[1].shape[0]);
  if (other)
    fail(
      "QKV107",
      `scan: "${first[0]}" has ${show(first[1].shape[0]!)} steps, "${other[0]}" has ${show(other[1].shape[0]!)}`,
      { notes: [[first, other].map(([name, x]) => `${name}: ${showType(x.value.type)}`).join("    ")] },
    );
}

/** What stands for a state or a slice within the step. The depth tells it from that of a scan around this one. */
function inside(b: Builder, name: string, shape: Tensor["shape"], { dtype }: Tensor): Tensor {
  return wrap(b, b.arena.build.input({ name: `${"step.".repeat(b.depth + 1)}${name}`, dtype, shape }));
}

/** Runs the author's step. */
function traced(b: Builder, step: Trace, states: Tensors, slices: Tensors): Step<Tensors, Tensors> {
  if (typeof step !== "function") return fail("QKV106", `scan: the step is ${describe(step)}, not a function`);
  b.depth++;
  try {
    const answer = authored(b, () => step(states, slices));
    if (typeof answer === "object" && answer !== null && "states" in answer) return answer as Step<Tensors, Tensors>;
    return fail("QKV106", `scan: the step answers ${describe(answer)}`, {
      help: "return { states: { … }, outputs: { … } }",
    });
  } finally {
    b.depth--;
  }
}

function nextStates(b: Builder, states: Named, answer: unknown): readonly Value[] {
  const next = new Map(named(b, answer, "next state"));
  for (const name of next.keys())
    if (!states.some(([state]) => state === name)) fail("QKV120", `scan: there is no state ${describe(name)}`);
  return states.map(([name, { value }]) => {
    const other = next.get(name)?.value;
    if (!other) return fail("QKV120", `scan: the step answers no next state ${describe(name)}`);
    if (!sameType(other.type, value.type))
      fail(other.type.dtype === value.type.dtype ? "QKV107" : "QKV109", `scan: the state "${name}" changes its type`, {
        notes: [`before: ${showType(value.type)}    after: ${showType(other.type)}`],
      });
    return other;
  });
}
