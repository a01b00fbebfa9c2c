import { Arena } from "../ir/arena.ts";
import { fail, QkvError, type SourceLocation } from "../ir/diagnostics.ts";
import type { Dim } from "../ir/dim.ts";
import type { Value } from "../ir/graph.ts";
import type { IndexFormula } from "../ir/index-expr/types.ts";
import { explain } from "./explain.ts";
import type { IndexCheck } from "./lift/index-checks.ts";
import { type Callee, callerOf, type Site, Sites } from "./site.ts";

const defaultNodeLimit = 2_000_000;

/** What one DSL call made: its value, where, and under which parameter prefix. */
export interface Made {
  readonly value: Value;
  readonly site: Site;
  readonly scope: string;
  /** Set for what the call answers: position among its results. */
  readonly result: number | undefined;
  /** What it is called where no variable says so. */
  readonly label: string | undefined;
}

/** The mask function of one attention as a formula, over its batch, heads, queries and keys. */
export interface LiftedMask {
  /** Parameter prefix where the attention was declared; empty at the top. */
  readonly scope: string;
  readonly formula: IndexFormula;
  readonly lengths: { readonly B: Dim; readonly H: Dim; readonly Q: Dim; readonly K: Dim };
}

/** State of one run of a model's body. */
export class Builder {
  readonly arena = new Arena();
  readonly sites = new Sites();
  readonly made: Made[] = [];
  readonly inputs = new Map<string, Value>();
  readonly params = new Map<string, Value>();
  readonly masks: LiftedMask[] = [];
  readonly indexChecks: IndexCheck[] = [];
  readonly model: string;
  readonly nodeLimit: number;
  /** Names of the inputs that runs will give, where that is known. */
  readonly given: ReadonlySet<string> | undefined;
  /** How many scans are around the call under way. */
  depth = 0;
  /** Joined prefixes of the scopes entered. */
  prefix = "";
  /** The outermost DSL call under way. */
  site: Site | undefined;
  /** Name of the layer the call under way declares. */
  label: string | undefined;

  constructor(model: string, nodeLimit = defaultNodeLimit, given?: ReadonlySet<string>) {
    this.model = model;
    this.nodeLimit = nodeLimit;
    this.given = given;
  }

  /** Remembers a value for naming. */
  note(value: Value, result?: number, label?: string): void {
    if (!this.site) return;
    if (this.made.length >= this.nodeLimit)
      fail("QKV123", `the model has more than ${this.nodeLimit} nodes`, { help: "is there a loop that does not end?" });
    this.made.push({ value, site: this.site, scope: this.prefix, result, label });
  }
}

const stack: Builder[] = [];

/** The build under way, if any. */
export const activeBuilder = (): Builder | undefined => stack.at(-1);

/** Runs `body` with `builder` as the build under way. */
export function during<T>(builder: Builder, body: () => T): T {
  stack.push(builder);
  try {
    return body();
  } finally {
    stack.pop();
  }
}

/**
 * One DSL call: `body` builds with the build under way. Errors get the place of the outermost call; its results are
 * remembered so that they can be named after the author's variables. Throws QKV104 outside a build.
 */
export function run<T>(callee: Callee, args: readonly unknown[], body: (builder: Builder) => T): T {
  const builder = stack.at(-1) ?? outside(callee);
  if (builder.site) return body(builder);
  const site = builder.sites.of(callee);
  builder.site = site;
  builder.label = undefined;
  try {
    const result = body(builder);
    noteResults(builder, result);
    return result;
  } catch (error) {
    throw error instanceof QkvError && !error.details.location ? explain(error, site, args) : error;
  } finally {
    builder.site = undefined;
  }
}

function noteResults(builder: Builder, result: unknown): void {
  const results = Array.isArray(result) ? result : [result];
  results.forEach((item, i) => {
    const value = (item as { value?: Value } | undefined)?.value;
    if (value) builder.note(value, i, builder.label);
  });
}

function outside(callee: Callee): never {
  const location = callerOf(callee);
  return fail("QKV104", `${callee.name} was called outside a model`, {
    ...(location && { location }),
    help: 'call it inside the body: model("name", () => { … })',
  });
}

/** Runs `body`, a piece of the author's code, as outside any DSL call: calls within it have places of their own. */
export function authored<T>(builder: Builder, body: () => T): T {
  const { site } = builder;
  builder.site = undefined;
  try {
    return body();
  } finally {
    builder.site = site;
  }
}

/** The same error with a place. */
export function located(error: QkvError, location: SourceLocation | undefined): QkvError {
  if (!location || error.details.location === location) return error;
  const placed = new QkvError(error.code, error.message, { ...error.details, location });
  if (error.cause !== undefined) placed.cause = error.cause;
  return placed;
}
