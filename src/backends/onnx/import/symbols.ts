import { QkvError } from "../../../ir/diagnostics.ts";
import {
  atLeast,
  coefficients,
  type Dim,
  divideExact,
  type Extreme,
  evaluate,
  extremesOf,
  isStatic,
  max,
  min,
  mul,
  ofNonEmpty,
  show,
  sub,
  substitute,
  symbol,
  symbolsOf,
} from "../../../ir/dim.ts";
import { parseDim } from "../../../ir/dim-parse.ts";
import { hashText } from "../../../ir/hash.ts";
import type { OnnxDim } from "../schema.ts";

/** Thrown where two dimensions have to be equal; the import starts again with one of them replaced: a name, `min(x, y)` or `max(x, y)`. */
export class Equated extends Error {
  readonly symbol: string;
  readonly dim: Dim;

  constructor(name: string, dim: Dim) {
    super(`${name} = ${show(dim)}`);
    this.symbol = name;
    this.dim = dim;
  }
}

/** Thrown where nothing that is left of a graph has these sizes, which only a run tells; the import starts again with tensors of them kept. */
export class Unbound extends Error {
  readonly names: readonly string[];

  constructor(names: readonly string[]) {
    super(`nothing binds ${names.join(", ")}`);
    this.names = names;
  }
}

/** What was found so far, start by start. */
export interface Found {
  /** Names, `min(x, y)` and `max(x, y)` by what they are equal to. */
  readonly equal: ReadonlyMap<string, Dim>;
  /** Sizes only a run tells, of tensors nothing but the shape of is used: they are asked of the tensors. */
  readonly asked: ReadonlySet<string>;
}

/** The dimensions of a model: those its file names, those no one knows before a run, and what was found to be equal. */
export class Symbols {
  readonly #equal: ReadonlyMap<string, Dim>;
  readonly #asked: ReadonlySet<string>;
  readonly #unknown = new Set<string>();
  /** What is known while a branch is read that is taken for one size only. */
  #given: ReadonlyMap<string, number> = new Map();
  readonly #named = new Set<string>();

  constructor({ equal, asked }: Found) {
    this.#equal = equal;
    this.#asked = asked;
  }

  /** A dimension the file declares: a number, a name, or a formula over names; `unnamed` where it says nothing. */
  declared(dim: OnnxDim, unnamed: string): Dim {
    if (typeof dim === "number") return dim;
    return this.#known(substitute(dim === null ? named(unnamed) : formula(dim), this.#equal));
  }

  /** A dimension that only a run tells. */
  unknown(name: string): Dim {
    const dim = named(name);
    this.#unknown.add(show(dim));
    return this.#known(substitute(dim, this.#equal));
  }

  /** Whether a dimension is one that only a run tells, and nothing else. */
  isUnknown(dim: Dim): boolean {
    return this.#unknown.has(show(dim));
  }

  /** Whether some of these sizes have to be asked of a tensor when the model runs. */
  areAsked(dims: readonly Dim[]): boolean {
    return this.#asked.size > 0 && dims.some((dim) => symbolsOf(dim).some((name) => this.#asked.has(name)));
  }

  /** Throws `Unbound` for those of the names that only a run tells and that were not found to be so yet. */
  verifyBound(names: Iterable<string>): void {
    const found = [...names].filter((name) => this.#unknown.has(name) && !this.#asked.has(name));
    if (found.length > 0) throw new Unbound(found);
  }

  #known(dim: Dim): Dim {
    for (const name of symbolsOf(dim)) this.#named.add(name);
    return dim;
  }

  /** The names there are by now. */
  known(): ReadonlySet<string> {
    return new Set(this.#named);
  }

  /** The smaller of both, where a table that ends has to be long enough the one that was found to be it. */
  least(a: Dim, b: Dim): Dim {
    return this.#decided(min(a, b));
  }

  /** The greater of both, or the one that was found to be it. */
  greatest(a: Dim, b: Dim): Dim {
    return this.#decided(max(a, b));
  }

  #decided(dim: Dim): Dim {
    return this.#equal.get(show(dim)) ?? dim;
  }

  /** Runs `read` while names are known to be numbers, as in a branch that is only taken where they are. */
  given<T>(sizes: ReadonlyMap<string, number>, read: () => T): T {
    const around = this.#given;
    this.#given = new Map([...around, ...sizes]);
    try {
      return read();
    } finally {
      this.#given = around;
    }
  }

  /** A dimension by what is known here. */
  settled(dim: Dim): Dim {
    return this.#given.size === 0 ? dim : substitute(dim, this.#given);
  }

  /**
   * Whether both are the same dimension. Where they only may be, throws `Equated`: they are from then on. What only a run
   * tells is given up first, then what is no less than 0 by how it is made of others (`total = past + seq`, of which more
   * is known than of `seq = total - past`), then what stands alone.
   */
  equate(a: Dim, b: Dim): boolean {
    if (a === b || this.settled(a) === this.settled(b)) return true;
    for (const extreme of extremesOf(sub(a, b))) {
      const isIt = (dim: Dim) => substitute(sub(a, b), new Map([[extreme.key, dim]])) === 0;
      const dim = whichOf(extreme) ?? extreme.of.find(isIt);
      if (dim !== undefined) throw new Equated(extreme.key, dim);
    }
    const bare = [a, b].flatMap((dim) => symbolsOf(dim).filter((name) => show(dim) === name));
    const names = [...new Set([...bare.reverse(), ...symbolsOf(a), ...symbolsOf(b)])];
    const found = names.flatMap((name) => {
      const dim = solve(sub(a, b), name) ?? largest(a, b, name) ?? largest(b, a, name);
      // What a run tells comes too late for an input.
      const known = this.#unknown.has(name) || !(dim && symbolsOf(dim).some((each) => this.#unknown.has(each)));
      return dim !== undefined && known ? [new Equated(name, dim)] : [];
    });
    const best =
      found.find((one) => this.#unknown.has(one.symbol)) ?? found.find(({ dim }) => atLeast(dim, 0)) ?? found[0];
    if (best) throw best;
    return false;
  }
}

/** Which of the two an extreme is where nothing is empty. */
function whichOf({ fn, of }: Extreme): Dim | undefined {
  const [x, y] = of.map(ofNonEmpty) as [Dim, Dim];
  const found = fn === "min" ? min(x, y) : max(x, y);
  return found === x ? of[0] : found === y ? of[1] : undefined;
}

/** Sizes beyond are not looked for. */
const largestSize = 2 ** 31;

/**
 * The largest size of `name` at which a dimension that depends on nothing else, and grows with it, is the number `wanted`: what
 * a stride leaves of 2999 and of 3000 is the same, and whole windows are what models are made for.
 */
function largest(dim: Dim, wanted: Dim, name: string): number | undefined {
  if (!isStatic(wanted) || symbolsOf(dim).length !== 1) return undefined;
  let [low, high] = [0, largestSize];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (evaluate(dim, new Map([[name, middle]])) <= wanted) low = middle;
    else high = middle - 1;
  }
  return low > 0 && low < largestSize && evaluate(dim, new Map([[name, low]])) === wanted ? low : undefined;
}

/** The dimension `name` has to be for the difference to be 0, whatever the others are. */
function solve(difference: Dim, name: string): Dim | undefined {
  const [rest, slope, ...higher] = coefficients(difference, name) ?? [];
  if (rest === undefined || slope === undefined || slope === 0 || higher.length > 0) return undefined;
  const dim = divideExact(mul(-1, rest), slope);
  return dim === undefined || atLeast(-1, dim) ? undefined : dim;
}

/** Exporters write `batch`, and `past + seq` too; anything else is a name with odd characters in it. */
function formula(text: string): Dim {
  if (/^\s*\d+\s*$/.test(text)) return named(text);
  try {
    return parseDim(text);
  } catch (error) {
    if (!(error instanceof QkvError)) throw error;
    return named(text);
  }
}

/** Whether a dimension is a name and nothing else. */
export const isName = (dim: Dim): boolean => symbolsOf(dim)[0] === show(dim);

/** Any text as the name of a dimension; different texts give different names. */
function named(text: string): Dim {
  const clean = text.replace(/[^A-Za-z0-9_.]+/g, "_").replace(/^(?![A-Za-z_])/, "_");
  return symbol(clean === text ? text : `${clean}_${hashText(text).slice(0, 6)}`);
}
