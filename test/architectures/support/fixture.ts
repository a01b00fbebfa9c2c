import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readTensors } from "../../../src/backends/ort/tensor-files.ts";
import { openCheckpoint } from "../../../src/backends/weights/checkpoint.ts";
import { type Buildable, type CompileOptions, compile } from "../../../src/compile.ts";
import { randomFeeds } from "../../../src/feeds.ts";
import { fromNumbers, type HostTensor, toFloat64 } from "../../../src/ir/tensor.ts";
import { reference } from "../../../src/reference.ts";
import { session } from "../../../src/session.ts";
import { largestDifference } from "../../support/minilm.ts";

const fixtures = fileURLToPath(new URL("../../../../shared/fixtures/", import.meta.url));

/** Small checkpoints with what PyTorch's transformers gave, beside the checkout. */
export const fixtureFolder = (name: string): string => join(fixtures, name);

/** Why tests on a fixture cannot run; undefined where they can. */
export const missing = (name: string): string | undefined =>
  existsSync(fixtureFolder(name)) ? undefined : `no ${fixtureFolder(name)}`;

type Tensors = ReadonlyMap<string, HostTensor>;

/** Tensors named `<case>.<name>`, by case. */
function byCase(tensors: Tensors): ReadonlyMap<string, Tensors> {
  const cases = new Map<string, Map<string, HostTensor>>();
  for (const [name, tensor] of tensors) {
    const dot = name.indexOf(".");
    const [key, rest] = [name.slice(0, dot), name.slice(dot + 1)];
    cases.set(key, (cases.get(key) ?? new Map<string, HostTensor>()).set(rest, tensor));
  }
  return cases;
}

/** The inputs and expected outputs of a folder's cases. */
export function casesOf(folder: string): readonly { readonly feeds: Tensors; readonly expected: Tensors }[] {
  const inputs = byCase(readTensors(join(folder, "inputs.safetensors")));
  const outputs = byCase(readTensors(join(folder, "expected.safetensors")));
  return Array.from(outputs, ([name, expected]) => ({ feeds: inputs.get(name)!, expected }));
}

export type Compilation = readonly [name: string, options: CompileOptions];

export const compilations: readonly Compilation[] = [
  ["naive", { naive: true }],
  ["for ort-cpu", { target: "ort-cpu" }],
  ["for onnx", { target: "onnx" }],
];

/** The tensor with the rows of padding set to zero, as hidden states are kept in the fixtures. */
function withoutPadding(x: HostTensor, mask: HostTensor | undefined): HostTensor {
  if (mask === undefined) return x;
  const width = x.dims.at(-1)!;
  const values = toFloat64(x).map((value, i) => (Number(mask.data[Math.floor(i / width)]) === 0 ? 0 : value));
  return fromNumbers(x.dtype, x.dims, values);
}

export interface FixtureOptions {
  /** How the model is compiled; in every way by default. */
  readonly ways?: readonly Compilation[];
  /** What is odd about the weights; nothing by default. */
  readonly warned?: readonly RegExp[];
}

/** What is declared gives what PyTorch gave on every case of a fixture, as declared and optimised. */
export function describeFixture(name: string, model: Buildable, options: FixtureOptions = {}): void {
  const { ways = compilations, warned = [] } = options;
  const reason = missing(name);
  describe.skipIf(reason !== undefined)(`${name}${reason === undefined ? "" : ` (${reason})`}`, () => {
    test.each(ways)("%s", async (_, options) => {
      const cases = casesOf(fixtureFolder(name));
      const inputs = new Set(cases[0]!.feeds.keys());
      const compiled = await compile(model, { ...options, weights: openCheckpoint(fixtureFolder(name)), inputs });
      const open = await session(compiled);
      for (const { feeds, expected } of cases) {
        const outputs = await open.run(feeds);
        expect([...outputs.keys()]).toEqual([...expected.keys()]);
        for (const [output, tensor] of expected) {
          const actual = outputs.get(output)!;
          expect(actual.dims).toEqual(tensor.dims);
          const real = output === "last_hidden_state" ? withoutPadding(actual, feeds.get("attention_mask")) : actual;
          expect(largestDifference(real, tensor)).toBeLessThan(1e-4);
        }
      }
      await open.close();
      expect(compiled.warnings()).toEqual(warned.map((warning) => expect.stringMatching(warning)));
    });
  });
}

/**
 * A model at its defaults, with all the optional inputs named, gives compiled what the float64 reference gives as
 * declared: random weights, random inputs of these sizes.
 */
export async function checkAtDefaults(
  model: Buildable,
  inputs: readonly string[],
  sizes: readonly (readonly [batch: number, seq: number])[],
): Promise<void> {
  const compiled = await compile(model, { inputs: new Set(inputs) });
  const open = await session(compiled);
  for (const [batch, seq] of sizes) {
    const dims = new Map([
      ["batch", batch],
      ["seq", seq],
    ]);
    const feeds = randomFeeds(compiled.declared, dims, seq);
    const expected = reference(compiled.declared, feeds, compiled.weights);
    const actual = await open.run(feeds);
    for (const [name, tensor] of expected) expect(largestDifference(actual.get(name)!, tensor)).toBeLessThan(1e-4);
  }
  await open.close();
}
