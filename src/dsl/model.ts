import type { Arena } from "../ir/arena.ts";
import { graphOf } from "../ir/arena.ts";
import { fail, QkvError, type SourceLocation } from "../ir/diagnostics.ts";
import type { Graph } from "../ir/graph.ts";
import { Builder, during, type LiftedMask, located } from "./builder.ts";
import { checkName, describe } from "./checks.ts";
import { type Config, type Configured, configOf } from "./config.ts";
import type { IndexCheck } from "./lift/index-checks.ts";
import { nameValues } from "./names.ts";
import { callerOf, locationIn } from "./site.ts";
import { Tensor } from "./tensor.ts";

/** What a model may be configured with: numbers, texts, switches, and lists and records of these. */
export type Setting = number | string | boolean | readonly Setting[] | { readonly [key: string]: Setting };
export type Settings = Readonly<Record<string, Setting>>;

/** Settings as a body sees them: any number where the default is a number. */
export type Widened<T> = {
  readonly [K in keyof T]: T[K] extends number
    ? number
    : T[K] extends string
      ? string
      : T[K] extends boolean
        ? boolean
        : T[K];
};

/**
 * What a body answers: one tensor, called "output", or several by name. A map keeps their order whatever they are called;
 * an object puts names that are numbers first.
 */
export type Outputs = Tensor | Readonly<Record<string, Tensor>> | ReadonlyMap<string, Tensor>;

export interface BuildOptions {
  /** Name values after the author's variables; true by default. */
  readonly names?: boolean;
  /** How many values a body may make; 2,000,000 by default. */
  readonly nodeLimit?: number;
  /** Weights whose configuration gives the settings, where the model says how. */
  readonly checkpoint?: Configured | undefined;
  /** Names of the inputs that runs will give: which optional ones are declared. As they say themselves where left out. */
  readonly inputs?: ReadonlySet<string> | undefined;
}

export interface Built {
  readonly graph: Graph;
  readonly arena: Arena;
  /** The mask functions of its attentions, in order. */
  readonly masks?: readonly LiftedMask[];
  /** What is asked of the indices of functions once lengths are known. */
  readonly indexChecks?: readonly IndexCheck[];
}

const brand = Symbol.for("qkv.model");

/** A declared model. Building it runs its body; it can be built any number of times. */
export interface Model<D extends Settings = Settings> {
  readonly name: string;
  readonly defaults: D;
  /**
   * The model's graph, with settings other than the defaults where a checkpoint's configuration or, before it,
   * `overrides` give them. Throws QKV101 to QKV129 with the place in the author's source, QKV433 and QKV438 for a
   * configuration that the model cannot follow.
   */
  build(overrides?: Partial<Widened<D>>, options?: BuildOptions): Built;
}

/** Whether a value is a model made by `model`. */
export const isModel = (value: unknown): value is Model =>
  typeof value === "object" && value !== null && Object.hasOwn(value, brand);

type Body<D> = (settings: Widened<D>) => Outputs;

/** All settings of a model as a checkpoint's `config.json` gives them. */
export type FromConfig<D> = (config: Config) => Widened<D>;

/**
 * Declares a model: `body` declares inputs and parameters, and answers what comes out. It runs at each build, with the
 * defaults, what `fromConfig` reads from a checkpoint's configuration, or what overrides them. Throws QKV102, QKV117,
 * QKV118.
 */
export function model<const D extends Settings>(
  name: string,
  defaults: D,
  body: Body<D>,
  fromConfig?: FromConfig<D>,
): Model<D>;
export function model(name: string, body: Body<Record<never, never>>): Model<Record<never, never>>;
export function model(
  name: string,
  first: Settings | Body<Settings>,
  second?: Body<Settings>,
  fromConfig?: FromConfig<Settings>,
): Model {
  const location = callerOf(model as never);
  try {
    const body = typeof first === "function" ? first : second;
    const defaults = typeof first === "function" ? {} : checkSettings(first);
    checkName(name, "the name of a model");
    if (typeof body !== "function") return fail("QKV106", `the body of "${name}" is ${describe(body)}, not a function`);
    const declaration = { name, body, location };
    const build: Model["build"] = (overrides, options = {}) => {
      const config = fromConfig && options.checkpoint && configOf(options.checkpoint);
      const configured = config ? settingsWith(name, defaults, fromConfig(config)) : defaults;
      return buildModel(declaration, settingsWith(name, configured, overrides), options);
    };
    return Object.freeze({ name, defaults, build, [brand]: true });
  } catch (error) {
    throw error instanceof QkvError ? located(error, error.details.location ?? location) : error;
  }
}

function checkSettings(defaults: unknown): Settings {
  if (typeof defaults !== "object" || defaults === null || Array.isArray(defaults))
    return fail("QKV118", `the settings of a model are ${describe(defaults)}; write { layers: 2 }`);
  for (const [key, value] of Object.entries(defaults))
    if (!isSetting(value))
      fail("QKV118", `the setting "${key}" is ${describe(value)}`, {
        help: "settings are numbers, texts, switches, and lists and records of these",
      });
  return Object.freeze({ ...defaults }) as Settings;
}

function isSetting(value: unknown): value is Setting {
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value === "string" || typeof value === "boolean") return true;
  if (Array.isArray(value)) return value.every(isSetting);
  return isRecord(value) && Object.values(value).every(isSetting);
}

function isRecord(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

const kindOf = (value: unknown) => (Array.isArray(value) ? "list" : isRecord(value) ? "record" : typeof value);

function settingsWith(name: string, defaults: Settings, overrides: Readonly<Record<string, unknown>> = {}): Settings {
  const known = new Map(Object.entries(defaults));
  for (const [key, value] of Object.entries(overrides)) {
    if (value === undefined) continue;
    const fallback = known.get(key);
    if (fallback === undefined)
      fail("QKV117", `the model "${name}" has no setting "${key}"`, {
        help: known.size > 0 ? `its settings are ${Object.keys(defaults).join(", ")}` : "it has none",
      });
    if (!isSetting(value) || kindOf(value) !== kindOf(fallback))
      fail(
        "QKV118",
        `the setting "${key}" is ${describe(value)}; it must be a ${kindOf(fallback)} like ${describe(fallback)}`,
      );
    known.set(key, value as Setting);
  }
  return Object.fromEntries(known);
}

interface Declaration {
  readonly name: string;
  readonly body: Body<Settings>;
  /** Where `model` was called; what has no better place is said to be here. */
  readonly location: SourceLocation | undefined;
}

function buildModel({ name, body, location }: Declaration, settings: Settings, options: BuildOptions): Built {
  const builder = new Builder(name, options.nodeLimit, options.inputs);
  try {
    const answer = during(builder, () => runBody(name, () => body(settings)));
    const outputs = outputsOf(builder, answer);
    nameValues(builder, options.names ?? true);
    const graph = graphOf(name, [...builder.inputs.values()], outputs);
    return { graph, arena: builder.arena, masks: builder.masks, indexChecks: builder.indexChecks };
  } catch (error) {
    throw error instanceof QkvError ? located(error, error.details.location ?? location) : error;
  }
}

/** Runs the author's body; what it throws becomes one error with its place. */
function runBody(name: string, body: () => unknown): unknown {
  try {
    return body();
  } catch (error) {
    if (error instanceof QkvError) throw error;
    const text = error instanceof Error ? `${error.name}: ${error.message}` : describe(error);
    const location = error instanceof Error ? locationIn(error.stack ?? "", isAuthors) : undefined;
    const wrapped = new QkvError("QKV115", `the body of "${name}" threw ${text}`, location ? { location } : {});
    wrapped.cause = error;
    throw wrapped;
  }
}

const here = locationIn(new Error().stack ?? "")?.file.replace(/[^\\/]*$/, "") ?? "\0";
/** Files that are neither the DSL's own nor the runtime's. */
export const isAuthors = (file: string): boolean => !file.startsWith(here) && !file.startsWith("node:");

function outputsOf(builder: Builder, answer: unknown): readonly (readonly [string, Tensor["value"]])[] {
  const { model: name } = builder;
  if (typeof answer === "object" && answer !== null && "then" in answer)
    return fail("QKV116", `the body of "${name}" answers a promise`, {
      help: "declare it without async: building computes nothing",
    });
  const named = answer instanceof Tensor ? [["output", answer] as const] : entriesOf(name, answer);
  if (named.length === 0) return fail("QKV113", `the model "${name}" has no outputs`, { help: "return { y }" });
  return named.map(([output, x]) => [output, checkOutput(builder, output, x)] as const);
}

function entriesOf(name: string, answer: unknown): readonly (readonly [string, unknown])[] {
  if (answer === undefined || answer === null)
    return fail("QKV113", `the body of "${name}" answers nothing`, { help: "return { y }" });
  if (answer instanceof Map) return [...answer];
  if (typeof answer === "object" && !Array.isArray(answer)) return Object.entries(answer);
  return fail("QKV114", `the body of "${name}" answers ${describe(answer)}, not tensors`, { help: "return { y }" });
}

function checkOutput(builder: Builder, output: string, x: unknown): Tensor["value"] {
  checkName(output, "the name of an output");
  if (!(x instanceof Tensor)) return fail("QKV114", `the output "${output}" is ${describe(x)}, not a tensor`);
  if (x.builder !== builder) return fail("QKV105", `the output "${output}" belongs to another build`);
  const taken = builder.inputs.get(output);
  if (taken && taken !== x.value)
    return fail("QKV103", `the output "${output}" has the name of an input`, { help: "rename one of them" });
  return x.value;
}
