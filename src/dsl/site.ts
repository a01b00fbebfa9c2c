import type { SourceLocation } from "../ir/diagnostics.ts";

/** Any function of the DSL: only its identity and name matter here. */
export type Callee = { readonly name: string } & ((...args: never[]) => unknown);

/** One place in the author's source that calls the DSL. */
export interface Site {
  readonly callee: string;
  /** Where the call stands, through whatever source maps the process has; undefined where nothing is known. */
  readonly location: SourceLocation | undefined;
}

const raw = (_: Error, frames: NodeJS.CallSite[]): string => {
  const frame = frames[0];
  return frame ? `${frame.getFileName()}:${frame.getLineNumber()}:${frame.getColumnNumber()}` : "";
};

/** The one frame that called `callee`, formatted by `prepare`, or by the process's own formatter when it is read. */
function frameAbove(callee: Callee, prepare?: typeof raw): { stack?: string } {
  const holder: { stack?: string } = {};
  const limit = Error.stackTraceLimit;
  const installed = Error.prepareStackTrace;
  Error.stackTraceLimit = 1;
  if (prepare) Error.prepareStackTrace = prepare as typeof Error.prepareStackTrace;
  Error.captureStackTrace(holder, callee as (...args: unknown[]) => unknown);
  if (prepare) void holder.stack;
  Error.prepareStackTrace = installed;
  Error.stackTraceLimit = limit;
  return holder;
}

/**
 * The places that call the DSL during one build. Looking a known place up costs a microsecond or two; reading source
 * maps waits until someone asks for the location.
 */
export class Sites {
  readonly #known = new Map<string, Site>();

  /** The place that called `callee`, the outermost DSL function on the stack. */
  of(callee: Callee): Site {
    const key = frameAbove(callee, raw).stack ?? "";
    let site = this.#known.get(key);
    if (!site) this.#known.set(key, (site = lazySite(callee)));
    return site;
  }
}

function lazySite(callee: Callee): Site {
  const holder = frameAbove(callee);
  let location: SourceLocation | undefined;
  let read = false;
  return {
    callee: callee.name,
    get location() {
      if (!read) location = locationIn(holder.stack ?? "");
      read = true;
      return location;
    },
  };
}

/** Where `callee` was called from. */
export const callerOf = (callee: Callee): SourceLocation | undefined => lazySite(callee).location;

const framePattern = /^\s*at (?:.*? \()?((?:file:\/\/|\/|[A-Za-z]:[\\/])[^()]*?):(\d+):(\d+)\)?$/;

/** The first place on a stack that is a file and passes `accept`. */
export function locationIn(stack: string, accept: (file: string) => boolean = () => true): SourceLocation | undefined {
  for (const line of stack.split("\n")) {
    const match = framePattern.exec(line);
    if (!match) continue;
    const file = plainPath(match[1]!);
    if (accept(file)) return { file, line: Number(match[2]), column: Number(match[3]) };
  }
  return undefined;
}

/** `file:///a%20b.ts?v=1` as `/a b.ts`. */
function plainPath(file: string): string {
  if (!file.startsWith("file://")) return file.replace(/\?[^?]*$/, "");
  const { pathname } = new URL(file);
  return decodeURIComponent(/^\/[A-Za-z]:\//.test(pathname) ? pathname.slice(1) : pathname);
}
