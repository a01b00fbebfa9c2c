import { type DiagnosticCode, fail, QkvError, type SourceLocation } from "./diagnostics.ts";

export type TokenKind = "value" | "graphName" | "digest" | "number" | "word" | "text" | "sign" | "end";

/** A piece of the text form. `text` is what it says: without sigil, unquoted. */
export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const pattern =
  /(?<value>%(?:[A-Za-z_][A-Za-z0-9_.]*|"(?:[^"\\\n]|\\.)*"))|(?<graphName>@(?:[A-Za-z_][A-Za-z0-9_.]*|"(?:[^"\\\n]|\\.)*"))|(?<digest>#[0-9a-f]+)|(?<number>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|-inf\b)|(?<word>[A-Za-z_][A-Za-z0-9_.]*)|(?<text>"(?:[^"\\\n]|\\.)*")|(?<sign>[-+*/^(){}[\],:=])/y;
const blank = /(?:\s+|\/\/[^\n]*)*/y;

const kinds = ["value", "graphName", "digest", "number", "word", "text", "sign"] as const;

/** Reads tokens one at a time, one ahead. Blanks and `// comments` are skipped. */
export class TokenReader {
  readonly source: string;
  readonly #file: string | undefined;
  #token: Token;
  #line = 1;
  #lineStart = 0;
  #counted = 0;

  constructor(source: string, file?: string) {
    this.source = source;
    this.#file = file;
    this.#token = this.#read(0);
  }

  /** The token that comes next. */
  get peek(): Token {
    return this.#token;
  }

  take(): Token {
    const token = this.#token;
    if (token.kind !== "end") this.#token = this.#read(token.end);
    return token;
  }

  /** Takes the next token if it is this sign or word. */
  accept(text: string): boolean {
    const { kind, text: next } = this.#token;
    if ((kind !== "sign" && kind !== "word") || next !== text) return false;
    this.take();
    return true;
  }

  expect(text: string): void {
    if (!this.accept(text)) this.unexpected(`"${text}"`);
  }

  expectKind(kind: TokenKind, wanted: string): Token {
    return this.#token.kind === kind ? this.take() : this.unexpected(wanted);
  }

  /** The source up to a comma or a closing bracket that was not opened within it. */
  takeSpan(wanted: string): { readonly text: string; readonly start: Token } {
    const start = this.#token;
    let end = start.start;
    for (let depth = 0; ; ) {
      const { kind, text } = this.#token;
      if (kind === "end" || (depth === 0 && kind === "sign" && /[,\]})]/.test(text))) break;
      if (kind === "sign" && text === "(") depth++;
      if (kind === "sign" && text === ")") depth--;
      end = this.take().end;
    }
    if (end === start.start) this.unexpected(wanted);
    return { text: this.source.slice(start.start, end), start };
  }

  unexpected(wanted: string): never {
    const { kind, text, start, end } = this.#token;
    const found = kind === "end" ? "the end" : JSON.stringify(this.source.slice(start, end) || text);
    return this.fail("QKV220", `expected ${wanted}, found ${found}`, this.#token);
  }

  /** Where a token is. Cheap when asked in order. */
  locate({ start, end }: Pick<Token, "start" | "end">): SourceLocation {
    if (start < this.#counted) [this.#line, this.#lineStart, this.#counted] = [1, 0, 0];
    for (
      let at = this.source.indexOf("\n", this.#counted);
      at >= 0 && at < start;
      at = this.source.indexOf("\n", at + 1)
    ) {
      this.#line++;
      this.#lineStart = at + 1;
    }
    this.#counted = Math.max(start, this.#lineStart);
    const column = start - this.#lineStart + 1;
    return { file: this.#file ?? "text", line: this.#line, column, endColumn: column + Math.max(1, end - start) };
  }

  fail(code: DiagnosticCode, message: string, at: Pick<Token, "start" | "end">, notes: readonly string[] = []): never {
    return fail(code, message, { location: this.locate(at), notes: [...this.#excerpt(at), ...notes] });
  }

  /** Runs `make`; an error without a place gets the place `at`. */
  placed<T>(at: Pick<Token, "start" | "end">, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (!(error instanceof QkvError) || error.details.location) throw error;
      const notes = [...this.#excerpt(at), ...(error.details.notes ?? [])];
      throw new QkvError(error.code, error.message, { ...error.details, location: this.locate(at), notes });
    }
  }

  /** The line, and a caret under the place. */
  #excerpt(at: Pick<Token, "start" | "end">): readonly string[] {
    const { column, endColumn } = this.locate(at);
    const lineStart = at.start - column + 1;
    const lineEnd = this.source.indexOf("\n", lineStart);
    const line = this.source.slice(lineStart, lineEnd < 0 ? undefined : lineEnd).slice(0, 240);
    const width = Math.max(1, Math.min(endColumn! - column, line.length - column + 1));
    return [line, column <= 240 ? `${" ".repeat(column - 1)}${"^".repeat(width)}` : "(further right)"];
  }

  #read(from: number): Token {
    blank.lastIndex = from;
    blank.exec(this.source);
    const start = blank.lastIndex;
    if (start === this.source.length) return { kind: "end", text: "", start, end: start };
    pattern.lastIndex = start;
    const groups = pattern.exec(this.source)?.groups;
    const kind = groups && kinds.find((name) => groups[name] !== undefined);
    if (!groups || !kind)
      return this.fail("QKV220", `unexpected ${JSON.stringify(this.source.slice(start, start + 1))}`, {
        start,
        end: start + 1,
      });
    const raw = groups[kind]!;
    const token = { kind, text: raw, start, end: start + raw.length };
    return { ...token, text: this.#unquoted(token) };
  }

  #unquoted(token: Token): string {
    const bare = /^[%@#]/.test(token.text) ? token.text.slice(1) : token.text;
    if (!bare.startsWith('"')) return bare;
    try {
      return JSON.parse(bare) as string;
    } catch {
      return this.fail("QKV220", "this is no JSON string", token);
    }
  }
}
