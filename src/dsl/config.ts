import { fail } from "../ir/diagnostics.ts";
import { describe } from "./checks.ts";

/** Trained tensors, and what the `config.json` beside them holds. */
export interface Configured {
  readonly source: string;
  readonly config: Readonly<Record<string, unknown>> | undefined;
  names(): readonly string[];
}

/**
 * A checkpoint's configuration, read key by key. A key that is absent or null has its fallback; without one it must be
 * there. Every method throws QKV433 for a missing or mistyped value and QKV438 for one the model has no part for.
 */
export interface Config {
  /** Whether the key is there and not null. */
  has(key: string): boolean;
  /** Whether the key is there and null, where that says something else than its absence. */
  isNull(key: string): boolean;
  /** A whole number, 0 or more. Of several names of one key the last that is there counts, as in transformers. */
  natural(key: string | readonly [string, ...string[]], fallback?: number): number;
  /** The side of a square: a whole number, or a list that holds it twice. */
  side(key: string, fallback?: number): number;
  number(key: string, fallback?: number): number;
  flag(key: string, fallback?: boolean): boolean;
  /** One of a few texts. */
  choice<T extends string>(key: string, choices: readonly T[], fallback?: T): T;
  /** A list of such texts. */
  choices<T extends string>(key: string, choices: readonly T[], fallback?: readonly T[]): readonly T[];
  /** The object under a key; an empty one where it is absent. */
  section(key: string): Config;
  /** Refuses any value but these, or any at all: what the model has no part for. */
  only(key: string, ...values: readonly (string | number | boolean)[]): void;
  /** The first of `architectures`, one of these; the first of these where none is named. */
  architecture<T extends string>(...names: readonly [T, ...T[]]): T;
  /** Whether the checkpoint holds a tensor of this name, under whatever prefix. */
  stores(name: string): boolean;
}

/** The configuration of a checkpoint; undefined where there is no `config.json`. Throws QKV438 where it is quantised. */
export function configOf({ source, config, names }: Configured): Config | undefined {
  if (config === undefined) return undefined;
  const stores = (name: string) => names().some((stored) => stored === name || stored.endsWith(`.${name}`));
  const read = section(config, { source, path: "", stores });
  if (read.has("quantization_config"))
    fail(
      "QKV438",
      `${source}: config.json: "quantization_config" says that weights are quantised, which no model reads`,
      {
        help: "dequantise the checkpoint",
      },
    );
  return read;
}

interface Place {
  readonly source: string;
  /** Keys that lead here, each followed by a dot. */
  readonly path: string;
  readonly stores: (name: string) => boolean;
}

const isNatural = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isPair = (value: unknown): value is readonly [number, number] =>
  Array.isArray(value) && value.length === 2 && value.every(isNatural);
const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
const isFlag = (value: unknown): value is boolean => typeof value === "boolean";
const isText = (value: unknown): value is string => typeof value === "string";
const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every(isText);
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function section(values: Readonly<Record<string, unknown>>, place: Place): Config {
  const named = (key: string) => `${place.source}: config.json: "${place.path}${key}"`;
  const at = (key: string): unknown => (Object.hasOwn(values, key) ? (values[key] ?? undefined) : undefined);

  function read<T>(key: string, is: (value: unknown) => value is T, what: string, fallback?: T): T {
    const value = at(key) ?? fallback;
    if (is(value)) return value;
    return value === undefined
      ? fail("QKV433", `${named(key)} is missing`, { help: `the model needs ${what} there` })
      : fail("QKV433", `${named(key)} is ${describe(value)}; it must be ${what}`);
  }
  const known = <T>(key: string, value: unknown, choices: readonly T[]): T =>
    choices.find((choice) => choice === value) ??
    fail("QKV438", `${named(key)} is ${describe(value)}, which the model has no part for`, {
      ...(choices.length > 0 && { help: `it has ${choices.map(describe).join(", ")}` }),
    });

  return {
    has: (key) => at(key) !== undefined,
    isNull: (key) => Object.hasOwn(values, key) && values[key] === null,
    natural(key, fallback) {
      const names = typeof key === "string" ? ([key] as const) : key;
      const name = names.findLast((name) => at(name) !== undefined) ?? names[0];
      return read(name, isNatural, "a whole number", fallback);
    },
    side(key, fallback) {
      const value = at(key);
      if (!isPair(value)) return read(key, isNatural, "a whole number, or a list of two", fallback);
      return value[0] === value[1] ? value[0] : known(key, value, []);
    },
    number: (key, fallback) => read(key, isNumber, "a number", fallback),
    flag: (key, fallback) => read(key, isFlag, "true or false", fallback),
    choice: (key, choices, fallback) => known(key, read(key, isText, "a text", fallback), choices),
    choices: (key, choices, fallback) =>
      read(key, isTexts, "a list of texts", fallback).map((value) => known(key, value, choices)),
    section: (key) => section(read(key, isObject, "an object", {}), { ...place, path: `${place.path}${key}.` }),
    only(key, ...allowed) {
      const value = at(key);
      if (value !== undefined) known(key, value, allowed);
    },
    architecture(...names) {
      const [first = names[0]] = read("architectures", isTexts, "a list of texts", [names[0]]);
      return known("architectures", first, names);
    },
    stores: place.stores,
  };
}
