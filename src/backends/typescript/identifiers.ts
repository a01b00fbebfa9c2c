const reservedWords =
  `abstract any arguments as async await boolean break case catch class const continue debugger declare
default delete do else enum eval export extends false finally for from function get if implements import in Infinity
instanceof interface is let module namespace NaN never new null number object of package private protected public return
set static string super switch symbol this throw true try type typeof undefined unknown var void while with yield
Array Error Map Math Number Object Set String Tensor defaults settings states slices i`.split(/\s+/);

/** Words of a name in camel case: `attention.self.query_proj` is `attentionSelfQueryProj`; empty where there are none. */
export function camelCase(name: string): string {
  const words = name
    .normalize("NFKD")
    .split(/[^A-Za-z0-9]+/)
    .filter((word) => word !== "");
  const joined = words.map((word, i) => (i === 0 ? lowerFirst(word) : word[0]!.toUpperCase() + word.slice(1))).join("");
  return /^\d/.test(joined) ? `x${joined}` : joined;
}

/** `LayerNorm` as `layerNorm`, `GELU` as `gelu`, `QKVProj` as `qkvProj`. */
const lowerFirst = (word: string): string =>
  word.replace(/^[A-Z]+(?![a-z])|^[A-Z]/, (capitals) => capitals.toLowerCase());

/** Hands out variable names, each once. */
export class Identifiers {
  readonly #taken: Set<string>;

  constructor(taken: Iterable<string>) {
    this.#taken = new Set([...reservedWords, ...taken]);
  }

  /** Names for a function within: it may use again what others in it use, not what it sees. */
  nested(): Identifiers {
    return new Identifiers(this.#taken);
  }

  /** The name wanted, or with the next free number behind it. */
  fresh(wanted: string): string {
    const stem = wanted === "" ? "x" : wanted;
    let name = stem;
    for (let count = 2; this.#taken.has(name); count++) name = `${stem}${count}`;
    this.#taken.add(name);
    return name;
  }
}
