import type { OnnxModel } from "./backends/onnx/schema.ts";
import { unrounded } from "./backends/onnx/unrounded.ts";
import { type Comparison, compareOutputs, type Tolerance } from "./backends/ort/compare-outputs.ts";
import type { OptimizationLevel } from "./backends/ort/session.ts";
import type { HostTensor } from "./ir/tensor.ts";
import { runModel } from "./session.ts";

/** How outputs compare with what they should be. */
export interface Agreement extends Comparison {
  /** They are equal only where activations are not rounded to 8 bits: last bits ahead of such a rounding are whole steps behind it. */
  readonly unrounded: boolean;
}

/** A model and how far the runtime may rewrite it. */
export interface Contender {
  readonly onnx: () => OnnxModel;
  readonly level: OptimizationLevel;
}

/**
 * Compares outputs; where they differ and both models round activations to 8 bits, compares what both give without that
 * rounding. `compared` leaves of outputs what is to be compared, `tolerance` takes the place of that of their types. Errors stay those of the outputs given. Throws QKV449 where names, dtypes or dims do not match.
 */
export async function agreement(
  [reference, expected]: readonly [Contender, ReadonlyMap<string, HostTensor>],
  [contender, actual]: readonly [Contender, ReadonlyMap<string, HostTensor>],
  feeds: ReadonlyMap<string, HostTensor>,
  {
    compared = (outputs) => outputs,
    tolerance,
  }: {
    readonly compared?: ((outputs: ReadonlyMap<string, HostTensor>) => ReadonlyMap<string, HostTensor>) | undefined;
    readonly tolerance?: Tolerance | undefined;
  } = {},
): Promise<Agreement> {
  const comparison = compareOutputs(compared(expected), compared(actual), tolerance);
  if (comparison.equal) return { ...comparison, unrounded: false };
  const [base, other] = [unrounded(reference.onnx()), unrounded(contender.onnx())];
  if (!base || !other) return { ...comparison, unrounded: false };
  const [wanted, got] = [
    await runModel(base, feeds, { level: reference.level }),
    await runModel(other, feeds, { level: contender.level }),
  ];
  const { equal, outputs } = compareOutputs(compared(wanted), compared(got), tolerance);
  const equalOf = new Map(outputs.map((output) => [output.name, output.equal]));
  return {
    ...comparison,
    equal,
    outputs: comparison.outputs.map((output) => ({ ...output, equal: output.equal || equalOf.get(output.name)! })),
    unrounded: equal,
  };
}
