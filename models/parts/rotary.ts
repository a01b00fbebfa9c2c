import { type Config, rope, type Tensor } from "qkv";
import type { LayerType } from "./decoder-config.ts";

/** Rotary positions: their base, and how wavelengths are stretched for texts longer than those of the training. */
export type Rotary = { readonly theta: number } & (
  | { readonly type: "default" }
  | { readonly type: "linear"; readonly factor: number }
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly lowFrequency: number;
      readonly highFrequency: number;
      readonly trainedLength: number;
    }
  | {
      readonly type: "yarn";
      readonly factor: number;
      readonly fast: number;
      readonly slow: number;
      readonly trainedLength: number;
      readonly truncate: boolean;
      /** Factor of the turned vectors. */
      readonly magnitude: number;
    }
);

/** Where a configuration spells rotary positions: `rope_scaling`, the older key, counts before `rope_parameters`. */
export const ropeOf = (config: Config): Config =>
  config.section(config.has("rope_scaling") ? "rope_scaling" : "rope_parameters");

/**
 * Rotary positions that all layers share. `theta` is the base where none is given, `maxLength` the longest text where the
 * length of the training is not said.
 */
export function rotaryOf(config: Config, theta: number, maxLength: number): Rotary {
  const own = ropeOf(config);
  const length = own.natural("original_max_position_embeddings", maxLength);
  const trainedLength = config.natural("original_max_position_embeddings", length);
  return spelled(config, own, own.number("rope_theta", config.number("rope_theta", theta)), trainedLength);
}

/**
 * Rotary positions of one kind of layer, under its name in `rope_parameters`; `scaled` says whether `rope_scaling` is of
 * this kind too. `theta` and `maxLength` as for all layers.
 */
export function layerRotaryOf(
  config: Config,
  layerType: LayerType,
  theta: number,
  maxLength: number,
  scaled = true,
): Rotary {
  const all = config.section("rope_parameters");
  // What is said beside the names of layers would be of none.
  all.only("rope_type");
  all.only("rope_theta");
  const named = all.section(layerType);
  const own = scaled && config.has("rope_scaling") ? config.section("rope_scaling") : named;
  const trainedLength = own.natural("original_max_position_embeddings", maxLength);
  return spelled(config, own, own.number("rope_theta", named.number("rope_theta", theta)), trainedLength);
}

function spelled(config: Config, own: Config, theta: number, trainedLength: number): Rotary {
  own.only("partial_rotary_factor", 1);
  config.only("partial_rotary_factor", 1);
  const types = ["default", "linear", "llama3", "yarn"] as const;
  const type = own.choice(own.has("rope_type") ? "rope_type" : "type", types, "default");
  if (type === "default") return { theta, type };
  const factor = own.number("factor");
  if (type === "linear") return { theta, type, factor };
  if (type === "llama3") {
    const [lowFrequency, highFrequency] = [own.number("low_freq_factor"), own.number("high_freq_factor")];
    return { theta, type, factor, lowFrequency, highFrequency, trainedLength };
  }
  const [fast, slow, truncate] = [own.number("beta_fast", 32), own.number("beta_slow", 1), own.flag("truncate", true)];
  return { theta, type, factor, fast, slow, trainedLength, truncate, magnitude: yarnMagnitude(own, factor) };
}

/** 0.1 · m · ln(factor) + 1: how much sharper attention is made over a stretched text (arXiv:2309.00071, §3.4). */
export const yarnScale = (factor: number, m: number): number => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);

function yarnMagnitude(own: Config, factor: number): number {
  const [one, all] = [own.number("mscale", 0), own.number("mscale_all_dim", 0)];
  const inferred = one !== 0 && all !== 0 ? yarnScale(factor, one) / yarnScale(factor, all) : yarnScale(factor, 1);
  return own.number("attention_factor", inferred);
}

/** How far each pair of a vector of `width` turns from one position to the next. */
export function frequencies(rotary: Rotary, width: number): readonly number[] {
  const plain = Array.from({ length: width / 2 }, (_, i) => rotary.theta ** ((-2 * i) / width));
  switch (rotary.type) {
    case "default":
      return plain;
    case "linear":
      return plain.map((f) => f / rotary.factor);
    case "llama3":
      return plain.map((f) => {
        const turns = (rotary.trainedLength * f) / (2 * Math.PI);
        const share = (turns - rotary.lowFrequency) / (rotary.highFrequency - rotary.lowFrequency);
        return mix(f / rotary.factor, f, share);
      });
    case "yarn": {
      const pairOf = (turns: number) =>
        (width * Math.log(rotary.trainedLength / (turns * 2 * Math.PI))) / (2 * Math.log(rotary.theta));
      const [first, last] = [pairOf(rotary.fast), pairOf(rotary.slow)];
      const low = Math.max(rotary.truncate ? Math.floor(first) : first, 0);
      const high = Math.min(rotary.truncate ? Math.ceil(last) : last, width - 1);
      return plain.map((f, i) => mix(f, f / rotary.factor, (i - low) / (low === high ? 0.001 : high - low)));
    }
  }
}

/** From `a` at 0 to `b` at 1, and these beyond. */
function mix(a: number, b: number, share: number): number {
  const t = Math.min(Math.max(share, 0), 1);
  return (1 - t) * a + t * b;
}

/** Queries or keys [batch, heads, seq, width], turned by their positions: [batch, seq], or 0, 1, … where none are given. */
export function turn(x: Tensor, rotary: Rotary, positions?: Tensor, interleaved = false): Tensor {
  const turns = frequencies(rotary, x.dim(3) as number);
  const turned = rope(x, { frequencies: turns, interleaved, ...(positions && { positions }) });
  return rotary.type === "yarn" && rotary.magnitude !== 1 ? turned.mul(rotary.magnitude) : turned;
}
