import { describe, expect, test } from "vitest";
import { Arena, graphOf, opDef } from "../../src/ir/arena.ts";
import { costOf, flopsOf } from "../../src/ir/cost.ts";
import { decompositionOf } from "../../src/ir/decomposition.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";
import { type Dim, evaluate, show, symbolsOf } from "../../src/ir/dim.ts";
import { isFloat } from "../../src/ir/dtype.ts";
import { evaluateValues } from "../../src/ir/evaluate.ts";
import type { Value } from "../../src/ir/graph.ts";
import type { RefTensor } from "../../src/ir/op-def.ts";
import { type OpName, ops } from "../../src/ir/ops/index.ts";
import { sameType } from "../../src/ir/types.ts";
import { verifyGraph } from "../../src/ir/verify.ts";
import { breaks, build, type Sample, samples } from "./support/op-samples.ts";
import { sizes, sizesOf, typeOf, valuesOf } from "./support/types.ts";

const names = Object.keys(ops) as OpName[];
/** Given from outside, or run by the runtime alone. */
const unsampled: readonly string[] = ["input", "param", "opaque"];

const feedsOf = (inputs: readonly Value[], sample: Sample): Map<Value, RefTensor> =>
  new Map(
    inputs.map((value, i) => {
      const { dtype, shape } = value.type;
      return [value, valuesOf(dtype, sizesOf(shape), 17 + i, sample.positive)];
    }),
  );

/** Dimensions by their text. */
const plain = (_: string, value: unknown) =>
  typeof value === "object" && value !== null && "terms" in value
    ? show(value as Dim)
    : typeof value === "bigint"
      ? String(value)
      : value;

const label = ({ types, attrs }: Sample) =>
  `${types.join(", ")} ${typeof attrs === "function" ? "" : JSON.stringify(attrs ?? {}, plain)}`;

test("every op the reference evaluates has samples, and every constraint a case that breaks it", () => {
  for (const name of names) {
    expect(samples[name].length > 0 || unsampled.includes(name), name).toBe(true);
    expect(Object.keys(breaks[name]), name).toEqual(Object.keys(opDef(name).constraints));
  }
});

describe.each(names.filter((name) => samples[name].length > 0))("%s", (name) => {
  const def = opDef(name);

  test.each(samples[name].map((sample) => [label(sample), sample] as const))("%s", (_, sample) => {
    const arena = new Arena();
    const { inputs, node } = build(arena, name, sample);
    const feeds = feedsOf(inputs, sample);
    const options = { inputs: feeds, dims: sizes };
    const results = evaluateValues(node.results, options);
    results.forEach((result, i) => {
      expect(result.dims).toEqual(sizesOf(node.results[i]!.type.shape));
      expect(result.data.length).toBe(result.dims.reduce((a, b) => a * b, 1));
      if (!isFloat(node.results[i]!.type.dtype)) expect(result.data.every(Number.isInteger)).toBe(true);
    });
    verifyGraph(
      graphOf(
        "sample",
        inputs,
        node.results.map((value, i) => [`y${i}`, value] as const),
      ),
      { given: sizes.keys() },
    );
  });

  test("its cost is a natural number", () => {
    for (const sample of samples[name]) {
      const { node } = build(new Arena(), name, sample);
      const flops = evaluate(flopsOf(node), sizes);
      expect(flops).toBeGreaterThanOrEqual(0);
      expect(Number.isInteger(flops)).toBe(true);
    }
  });

  if (def.decompose)
    test("its decomposition has its types, its value, and other ops", () => {
      for (const sample of samples[name]) {
        const arena = new Arena();
        const { inputs, node } = build(arena, name, sample);
        const meaning = decompositionOf(node)!;
        expect(meaning.outputs.length).toBe(node.results.length);
        meaning.outputs.forEach(({ value }, i) => {
          expect(sameType(value.type, node.results[i]!.type)).toBe(true);
          expect(value.node.op).not.toBe(name);
        });
        if (!def.evaluate) continue;
        const feeds = feedsOf(inputs, sample);
        const own = evaluateValues(node.results, { inputs: feeds, dims: sizes });
        const given = new Map(meaning.inputs.map((value, i) => [value, feeds.get(inputs[i]!)!]));
        const decomposed = evaluateValues(
          meaning.outputs.map(({ value }) => value),
          { inputs: given, dims: sizes },
        );
        own.forEach((tensor, i) => expect(largestGap(tensor, decomposed[i]!)).toBeLessThan(1e-12));
      }
    });

  if (def.grad)
    test("its gradient is the limit of its differences", () => {
      const differentiable = samples[name].filter(({ types }) => isFloat(typeOf(types[0]!).dtype));
      expect(differentiable.length).toBeGreaterThan(0);
      for (const sample of differentiable) checkGradient(name, { ...sample, types: sample.types.map(widest) });
    });
});

describe("broken constraints", () => {
  const cases = names.flatMap((name) => Object.entries(breaks[name]).map(([c, sample]) => [name, c, sample] as const));

  test.each(cases)("%s %s", (name, constraint, sample) => {
    const error = thrownBy(() => build(new Arena(), name, sample));
    expect(error.code).toBe("QKV210");
    expect(error.message).toContain(`(${constraint})`);
    expect(error.message).not.toContain("[object");
    expect(error.message.startsWith(`${name}: `)).toBe(true);
    expect(error.details.notes?.join("\n")).toContain(opDef(name).constraints[constraint]);
  });
});

describe("what the registry says of itself", () => {
  test.each(names)("%s", (name) => {
    const def = opDef(name);
    expect(def.name).toBe(name);
    expect(def.doc.length).toBeGreaterThan(0);
    expect(def.traits.includes("composite")).toBe(def.decompose !== undefined);
    expect(def.traits.includes("leaf")).toBe(def.operands.length === 0);
    for (const [attr, spec] of Object.entries(def.attrs)) expect(spec.doc, attr).not.toBe("");
    expect(Object.keys(def.constraints)).toEqual(Object.keys(def.constraints).map((_, i) => `C${i + 1}`));
  });

  test.each(names.filter((name) => opDef(name).traits.includes("commutative")))("%s commutes", (name) => {
    for (const sample of samples[name]) {
      const arena = new Arena();
      const { inputs, node } = build(arena, name, sample);
      const [x, y, ...rest] = inputs;
      const swapped = arena.node(name, [y!, x!, ...rest]);
      const [a, b] = evaluateValues([node.results[0]!, swapped.results[0]!], {
        inputs: feedsOf(inputs, sample),
        dims: sizes,
      });
      expect(a).toEqual(b);
    }
  });

  test.each(names.filter((name) => opDef(name).identity !== undefined))("%s has its identity", (name) => {
    const { build: b } = new Arena();
    const x = b.input({ name: "x", dtype: "f64", shape: [33] });
    const y = b[name as "add"](x, b.scalar(opDef(name).identity!, "f64"));
    const given = valuesOf("f64", [33], 3);
    expect(evaluateValues([y], { inputs: new Map([[x, given]]) })[0]).toEqual(given);
  });
});

test("a composite without a formula costs what its decomposition does", () => {
  const arena = new Arena();
  const x = arena.build.input({ name: "x", dtype: "f32", shape: [7, 11] });
  const relu = arena.build.relu(x);
  expect(opDef("relu").cost).toBeUndefined();
  expect(flopsOf(relu.node)).toBe(costOf(decompositionOf(relu.node)!).flops);
  expect(symbolsOf(flopsOf(relu.node))).toEqual([]);
});

function thrownBy(run: () => unknown): QkvError {
  try {
    run();
  } catch (error) {
    if (error instanceof QkvError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

function largestGap(a: RefTensor, b: RefTensor): number {
  expect(a.dims).toEqual(b.dims);
  let gap = 0;
  a.data.forEach((x, i) => {
    const y = b.data[i]!;
    if (!Object.is(x, y) && x !== y) gap = Math.max(gap, Number.isNaN(x - y) ? Infinity : Math.abs(x - y));
  });
  return gap;
}

/** The type in f64, where it is one of floats. */
const widest = (text: string): string => (isFloat(typeOf(text).dtype) ? text.replace(/^\w+/, "f64") : text);

/** d/dx Σ w·f(x) by the record against (f(x + h) - f(x - h)) / 2h, element by element, at odd elements of each operand. */
function checkGradient(name: string, sample: Sample): void {
  const arena = new Arena();
  const { inputs, node } = build(arena, name, sample);
  const y = node.results[0]!;
  const dy = arena.build.input({ name: "dy", ...y.type });
  const attrs = Object.fromEntries(node.attrs);
  const grads = opDef(name).grad!(arena.build, { operands: inputs, results: node.results, attrs, dy });
  const feeds = feedsOf(inputs, sample);
  const weights = valuesOf(y.type.dtype, sizesOf(y.type.shape), 99);
  feeds.set(dy, weights);
  const loss = (given: Map<Value, RefTensor>) =>
    evaluateValues([y], { inputs: given, dims: sizes })[0]!.data.reduce((sum, v, i) => sum + v * weights.data[i]!, 0);
  grads.forEach((grad, operand) => {
    if (!grad) return;
    const x = inputs[operand]!;
    expect(sameType(grad.type, x.type)).toBe(true);
    const exact = evaluateValues([grad], { inputs: feeds, dims: sizes })[0]!;
    const at = feeds.get(x)!;
    const h = 1e-5;
    for (let i = 0; i < at.data.length; i += 2 * Math.ceil(at.data.length / 24) - 1) {
      const shifted = (by: number) => new Map(feeds).set(x, { dims: at.dims, data: at.data.with(i, at.data[i]! + by) });
      const difference = (loss(shifted(h)) - loss(shifted(-h))) / (2 * h);
      const scale = Math.max(1, Math.abs(difference));
      expect(Math.abs(exact.data[i]! - difference) / scale, `${name} operand ${operand} element ${i}`).toBeLessThan(
        1e-6,
      );
    }
  });
}
