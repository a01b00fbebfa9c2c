import type { Session } from "node:inspector";

/** Any function of the author's. */
export type LiveFunction = (...args: never[]) => unknown;

/** What the runtime knows of a function: what it captured, and where it stands in the code that runs. */
export interface Captures {
  /** The variables it can see, innermost scope first; without globals. */
  readonly scopes: readonly Readonly<Record<string, unknown>>[];
  /** Where its parameters begin, counted from 0, in the script that runs. */
  readonly script: { readonly id: string; readonly line: number; readonly column: number } | undefined;
}

const holder = Symbol.for("qkv.captures");
const held = `globalThis[Symbol.for("qkv.captures")]`;

/**
 * The variables of a function's scopes as they are now, through the runtime's own inspector: they hold the very objects
 * the function sees. Undefined where the runtime has no inspector.
 */
export const capturesOf = (fn: LiveFunction): Captures | undefined => inspecting((post) => read(post, fn));

export type Post = (method: string, params?: object) => unknown;

/** Runs `body` with a session of the runtime's inspector. Undefined where there is none. */
export function inspecting<T>(body: (post: Post, session: Session) => T): T | undefined {
  const inspector = process.getBuiltinModule("node:inspector") as typeof import("node:inspector") | undefined;
  if (!inspector) return undefined;
  const session = new inspector.Session();
  try {
    session.connect();
  } catch {
    return undefined;
  }
  const post: Post = (method, params) => {
    let answer: unknown;
    // A session of the own thread answers before `post` returns.
    session.post(method, params, (error, result) => {
      if (error) throw error;
      answer = result;
    });
    return answer;
  };
  try {
    return body(post, session);
  } finally {
    session.disconnect();
  }
}

interface Described {
  readonly name: string;
  readonly value?: { readonly objectId?: string; readonly description?: string; readonly value?: unknown };
}

function read(post: Post, fn: LiveFunction): Captures {
  const stage: { fn: LiveFunction; scopes: { readonly object?: Record<string, unknown> }[] } = { fn, scopes: [] };
  const globals = globalThis as Record<symbol, unknown>;
  globals[holder] = stage;
  try {
    const { result } = post("Runtime.evaluate", { expression: `${held}.fn` }) as { result: { objectId: string } };
    const own = { objectId: result.objectId, ownProperties: true };
    const { internalProperties = [] } = post("Runtime.getProperties", own) as { internalProperties?: Described[] };
    const internal = (name: string) => internalProperties.find((property) => property.name === name)?.value;
    copyScopes(post, internal("[[Scopes]]")?.objectId);
    const place = internal("[[FunctionLocation]]")?.value as
      | { scriptId: string; lineNumber: number; columnNumber?: number }
      | undefined;
    return {
      scopes: stage.scopes.map(({ object }) => object ?? {}),
      script: place && { id: place.scriptId, line: place.lineNumber, column: place.columnNumber ?? 0 },
    };
  } finally {
    delete globals[holder];
  }
}

function copyScopes(post: Post, objectId: string | undefined): void {
  if (objectId === undefined) return;
  const { result } = post("Runtime.getProperties", { objectId, ownProperties: true }) as { result: Described[] };
  for (const { name, value } of result) {
    if (!/^\d+$/.test(name) || value?.objectId === undefined || value.description === "Global") continue;
    post("Runtime.callFunctionOn", {
      objectId: value.objectId,
      functionDeclaration: `function () { ${held}.scopes.push(this); }`,
    });
  }
}
