// JSON.parse keeps the last of two equal keys, loses digits of big integers and nests without limit. Files from others
// are read by this instead: objects become Maps, so `__proto__` is a key like any other.

import { quoteName } from "./quote-name.ts";

export type JsonValue = null | boolean | number | bigint | string | readonly JsonValue[] | JsonObject;
export type JsonObject = ReadonlyMap<string, JsonValue>;

export type JsonFault = "syntax" | "duplicate" | "limit";

export interface JsonRules {
  /** Objects and arrays inside one another. */
  readonly maxDepth: number;
  /** Values inside one member of the outermost object: what is held in memory at once. */
  readonly maxItems: number;
  /** "integers" refuses fractions and exponents and keeps every digit: integers beyond 2^53 become bigint. */
  readonly numbers: "any" | "integers";
  /** Also takes the NaN, Infinity and -Infinity that Python's writer emits. */
  readonly pythonNumbers?: boolean;
  /** Called with the fault, a message that names the place, and the place as an index into the text; must throw. */
  readonly reject: (fault: JsonFault, message: string, position: number) => never;
}

export const isJsonObject = (value: JsonValue): value is JsonObject => value instanceof Map;
export const isJsonArray = (value: JsonValue): value is readonly JsonValue[] => Array.isArray(value);

const quote = 0x22;
const backslash = 0x5c;
const space = 0x20;
const surrogate = /\p{Surrogate}/u;
const integerToken = /-?(?:0|[1-9][0-9]*)/y;
const numberToken = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const words: ReadonlyMap<string, JsonValue> = new Map<string, JsonValue>([
  ["true", true],
  ["false", false],
  ["null", null],
]);
const pythonWords: ReadonlyMap<string, JsonValue> = new Map([
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
]);

class JsonReader {
  readonly #text: string;
  readonly #rules: JsonRules;
  readonly #path: (string | number)[] = [];
  #position = 0;
  #items = 0;

  constructor(text: string, rules: JsonRules) {
    this.#text = text;
    this.#rules = rules;
  }

  // Recursion is safe: `value` refuses to go deeper than `maxDepth`.
  value(): JsonValue {
    if (++this.#items > this.#rules.maxItems) this.#reject("limit", `more than ${this.#rules.maxItems} values`);
    this.#skipSpace();
    const char = this.#text[this.#position];
    if (char === '"') return this.#string();
    if (char === "{") return this.#collect();
    if (char === "[") return this.#array();
    if (char !== undefined && char >= "0" && char <= "9") return this.#number();
    const word = this.#word();
    return word === undefined ? this.#number() : word;
  }

  /** Reads one object and hands over its members one by one, so that a big one is never held whole. */
  members(onMember: (key: string, value: JsonValue) => void): void {
    const seen = new Set<string>();
    this.#skipSpace();
    this.#open("{");
    if (this.#taken("}")) return;
    do {
      this.#skipSpace();
      const key = this.#string();
      if (seen.has(key)) this.#reject("duplicate", `the key ${quoteName(key)} occurs twice`);
      seen.add(key);
      this.#expect(":");
      if (this.#path.length === 0) this.#items = 0;
      this.#path.push(key);
      onMember(key, this.value());
      this.#path.pop();
    } while (this.#taken(","));
    this.#expect("}");
  }

  end(): void {
    this.#skipSpace();
    if (this.#position < this.#text.length) this.#reject("syntax", "text follows the end of the JSON value");
  }

  #collect(): JsonObject {
    const object = new Map<string, JsonValue>();
    this.members((key, value) => object.set(key, value));
    return object;
  }

  #array(): JsonValue[] {
    const items: JsonValue[] = [];
    this.#open("[");
    if (this.#taken("]")) return items;
    do {
      this.#path.push(items.length);
      items.push(this.value());
      this.#path.pop();
    } while (this.#taken(","));
    this.#expect("]");
    return items;
  }

  #open(bracket: string): void {
    if (this.#path.length >= this.#rules.maxDepth)
      this.#reject("limit", `objects and arrays nest deeper than ${this.#rules.maxDepth}`);
    this.#expect(bracket);
  }

  #string(): string {
    if (this.#text[this.#position] !== '"') this.#reject("syntax", "a string is expected");
    const start = this.#position;
    let end = start + 1;
    let escaped = false;
    for (let code = this.#text.charCodeAt(end); code !== quote; code = this.#text.charCodeAt(end)) {
      if (!(code >= space)) this.#reject("syntax", "a string is not closed or holds a control character");
      if (code === backslash) {
        escaped = true;
        end++;
      }
      end++;
    }
    this.#position = end + 1;
    return escaped ? this.#unescape(start) : this.#text.slice(start + 1, end);
  }

  #unescape(start: number): string {
    let value: string;
    try {
      value = JSON.parse(this.#text.slice(start, this.#position)) as string;
    } catch {
      return this.#reject("syntax", "a string holds an unknown escape");
    }
    if (surrogate.test(value)) this.#reject("syntax", "a string holds half of a surrogate pair");
    return value;
  }

  #word(): JsonValue | undefined {
    for (const table of this.#rules.pythonNumbers ? [words, pythonWords] : [words])
      for (const [word, value] of table)
        if (this.#text.startsWith(word, this.#position)) {
          this.#position += word.length;
          return value;
        }
    return undefined;
  }

  #number(): number | bigint {
    const integers = this.#rules.numbers === "integers";
    const token = integers ? integerToken : numberToken;
    token.lastIndex = this.#position;
    const text = token.exec(this.#text)?.[0];
    if (text === undefined) return this.#reject("syntax", "a value is expected");
    this.#position += text.length;
    if (integers && /[.eE]/.test(this.#text[this.#position] ?? ""))
      this.#reject("syntax", "a whole number without fraction or exponent is expected");
    const value = Number(text);
    return integers && !Number.isSafeInteger(value) ? BigInt(text) : value;
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#position);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#position++;
    }
  }

  #taken(char: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#position] !== char) return false;
    this.#position++;
    return true;
  }

  #expect(char: string): void {
    if (!this.#taken(char)) this.#reject("syntax", `${JSON.stringify(char)} is expected`);
  }

  #reject(fault: JsonFault, message: string): never {
    const place = this.#path.map((step) => (typeof step === "number" ? `${step}` : quoteName(step))).join(" › ");
    return this.#rules.reject(
      fault,
      `${message} (character ${this.#position}${place ? `, in ${place}` : ""})`,
      this.#position,
    );
  }
}

/** Reads a whole JSON text. */
export function readJson(text: string, rules: JsonRules): JsonValue {
  const reader = new JsonReader(text, rules);
  const value = reader.value();
  reader.end();
  return value;
}

/** Reads a JSON text that is one object, member by member, in the order of the text. */
export function readJsonMembers(
  text: string,
  rules: JsonRules,
  onMember: (key: string, value: JsonValue) => void,
): void {
  const reader = new JsonReader(text, rules);
  reader.members(onMember);
  reader.end();
}
