/** Control characters, blanks and lone surrogates: what runtimes refuse in names, or tools cannot show. */
const unprintable =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  /[\u0000-\u0020\u007f-\u00a0\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** `name` with every character that cannot be part of an ONNX name replaced by `_`; `_` for the empty name. */
export const sanitise = (name: string): string => name.replace(unprintable, "_") || "_";

/** Whether `name` can be written as it is. */
export const isSafeName = (name: string): boolean => name !== "" && name.search(unprintable) === -1;

/** Hands out names, each once. The outcome depends on the order of the calls alone. */
export class NameTable {
  readonly #taken = new Set<string>();
  readonly #next = new Map<string, number>();

  /** Takes `name` exactly; false where it is already taken. */
  reserve(name: string): boolean {
    if (this.#taken.has(name)) return false;
    this.#taken.add(name);
    return true;
  }

  /** `wanted`, sanitised, with `_1`, `_2`, … appended where it is taken. */
  unique(wanted: string): string {
    const base = sanitise(wanted);
    if (this.reserve(base)) return base;
    for (let i = this.#next.get(base) ?? 1; ; i++) {
      const name = `${base}_${i}`;
      if (!this.reserve(name)) continue;
      this.#next.set(base, i + 1);
      return name;
    }
  }
}
