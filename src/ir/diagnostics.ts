/** A place in the user's own source. Lines and columns count from 1. */
export interface SourceLocation {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Column after the last character of the place, when known. */
  readonly endColumn?: number;
}

/** Process exit codes of the command line: 2 the user's mistake, 3 a limit, 4 verification failed, 70 our bug. */
export type ExitCode = 2 | 3 | 4 | 70;

const code = (title: string, exit: ExitCode = 2) => ({ title, exit });

/** Every error the project can report. 1xx declaring, 2xx IR, 3xx passes, 4xx backends, 5xx command line, 9xx our bugs. */
export const diagnostics = {
  QKV201: code("bytes are not a whole number of elements"),
  QKV202: code("tensor data does not match its dims"),
  QKV901: code("internal invariant broken", 70),
} as const;

export type DiagnosticCode = keyof typeof diagnostics;

export interface DiagnosticDetails {
  readonly location?: SourceLocation;
  /** Facts worth seeing beside the message: operand types, the constraint's text. One line each. */
  readonly notes?: readonly string[];
  /** What to do about it. */
  readonly help?: string;
}

/** An error with a code from the table. Everything thrown at a user is one of these. */
export class QkvError extends Error {
  readonly code: DiagnosticCode;
  readonly details: DiagnosticDetails;

  constructor(code: DiagnosticCode, message: string, details: DiagnosticDetails = {}) {
    super(message);
    this.name = "QkvError";
    this.code = code;
    this.details = details;
  }

  get exitCode(): ExitCode {
    return diagnostics[this.code].exit;
  }
}

export function fail(code: DiagnosticCode, message: string, details?: DiagnosticDetails): never {
  throw new QkvError(code, message, details);
}

/** Asserts what must hold whatever the user did; a failure is our bug. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) fail("QKV901", message);
}

export const assertNever = (value: never): never => fail("QKV901", `unexpected ${JSON.stringify(value)}`);
