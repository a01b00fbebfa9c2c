import { type Dim, product } from "../dim.ts";
import type { DType } from "../dtype.ts";
import type { Value } from "../graph.ts";
import { combined, integralParts, type LinearForm, linearForms } from "../index-analysis/integral.ts";
import type { Emit } from "../op-def.ts";
import { fromNumbers } from "../tensor.ts";
import { type Bounds, boundsWithin, type KnownLengths, within } from "./bounds.ts";
import { type IndexFn, indexFunctions } from "./functions.ts";
import { axes, axesGrid, type Cut, type Grid, lengthNames } from "./grid.ts";
import { bitwise } from "./lower-bits.ts";
import { realFunction } from "./lower-math.ts";
import {
  constant,
  type IndexExpr,
  type IndexFormula,
  type IndexTable,
  index,
  isTruth,
  type LengthName,
  type Lengths,
  partsInOrder,
} from "./types.ts";

/**
 * Numbers are f64 as in JavaScript, so that a mask is right to the last bit; what is added to scores or computed from
 * them has the scores' element type.
 */
export interface LowerOptions {
  readonly build: Emit;
  readonly lengths: Lengths;
  /** The scores, of the grid's rank; only where the formula reads them. */
  readonly score?: Value;
  /** Element type of the answer where it is a number. */
  readonly dtype: DType;
  /** Where the formula is computed; every index along an axis of its own, [B, H, Q, K], where not said. */
  readonly grid?: Grid;
}

/**
 * Tensors of ordinary ops that compute a formula at every point of a grid at once. Its axes are of size 1 where the
 * formula does not depend on them; bool where it is a condition.
 */
export function lowerFormula({ expr, tables }: IndexFormula, options: LowerOptions): Value {
  return new DenseLowering(tables, options).answer(expr);
}

/** Of x fn y: whether x - y must be above 0 (true), below (false) or neither, and whether it may be, or must be, 0. */
const comparisons = {
  equal: [undefined, true],
  notEqual: [undefined, false],
  less: [false, false],
  lessEqual: [false, true],
  greater: [true, false],
  greaterEqual: [true, true],
} as const;

/** Functions whose rounding in a narrower type is that of their operands. */
const smooth: ReadonlySet<IndexFn> = new Set<IndexFn>([
  "add",
  "sub",
  "mul",
  "div",
  "neg",
  "abs",
  "min",
  "max",
  "select",
]);

/** z where a quotient is 1 / (1 + exp(-z)), which is one operation. */
function sigmoidOf(x: IndexExpr, y: IndexExpr): IndexExpr | undefined {
  const applies = (expr: IndexExpr, fn: IndexFn) => (expr.kind === "apply" && expr.fn === fn ? expr.args : []);
  const [one, power] = applies(y, "add");
  const [inner] = power ? applies(power, "exp") : [];
  const [of] = inner ? applies(inner, "neg") : [];
  return x === constant(1) && one === x ? of : undefined;
}

class DenseLowering {
  readonly b: Emit;
  readonly #options: LowerOptions;
  readonly #tables: readonly IndexTable[];
  readonly #bounds: (expr: IndexExpr) => Bounds;
  readonly #done = new Map<string, Value>();
  readonly #numbers = new Map<IndexExpr, number>();
  readonly #scored = new Set<IndexExpr>();
  readonly #grid: Grid;
  #forms: ReadonlyMap<IndexExpr, LinearForm> = new Map();

  constructor(tables: readonly IndexTable[], options: LowerOptions) {
    this.b = options.build;
    this.#options = options;
    this.#tables = tables;
    const known: KnownLengths = Object.fromEntries(
      Object.entries(options.lengths).filter((entry): entry is [LengthName, number] => typeof entry[1] === "number"),
    );
    this.#bounds = boundsWithin(known, tables);
    this.#grid = options.grid ?? axesGrid(options.build, options.lengths);
  }

  answer(expr: IndexExpr): Value {
    const { dtype } = this.#options;
    if (this.#grid.difference) this.#forms = linearForms(expr, integralParts(expr, this.#tables));
    partsInOrder(expr).forEach((part, i) => {
      this.#numbers.set(part, i);
      const parts = part.kind === "apply" ? part.args : part.kind === "lookup" ? part.at : [];
      if (part.kind === "score" || parts.some((inner) => this.#scored.has(inner))) this.#scored.add(part);
      // Parts first, so that lowering never goes deep.
      this.#prepare(part);
    });
    const value = isTruth(expr, this.#tables) ? this.truth(expr) : this.number(expr, dtype);
    return this.#ranked(value);
  }

  #prepare(part: IndexExpr): void {
    if (isTruth(part, this.#tables) && part.kind !== "number") this.truth(part);
    else if (this.#scored.has(part)) this.number(part, this.#options.dtype);
    else {
      this.number(part, "f64");
      if (part.kind === "apply" && smooth.has(part.fn)) this.number(part, this.#options.dtype);
    }
  }

  #ranked(value: Value): Value {
    const { rank } = this.#grid;
    return value.type.shape.length === rank ? value : this.b.reshape(value, { shape: new Array<Dim>(rank).fill(1) });
  }

  /** A condition, as bool. */
  truth(expr: IndexExpr): Value {
    return this.#once(expr, "bool", () => this.#truth(expr));
  }

  /** A number in an element type. */
  number(expr: IndexExpr, dtype: DType): Value {
    return this.#once(expr, dtype, () => this.#number(expr, dtype));
  }

  #once(expr: IndexExpr, dtype: DType, make: () => Value): Value {
    const key = `${this.#numbers.get(expr) ?? JSON.stringify(expr)} ${dtype}`;
    let value = this.#done.get(key);
    if (!value) this.#done.set(key, (value = make()));
    return value;
  }

  #truth(expr: IndexExpr): Value {
    const { b } = this;
    if (expr.kind === "number") return b.scalar(expr.value !== 0 ? 1 : 0, "bool");
    if (expr.kind === "lookup") return this.#cast(this.#lookup(expr.table, expr.at, "bool"), "bool");
    if (expr.kind !== "apply") return this.#differs(this.number(expr, "f64"));
    const [x, y, z] = expr.args as readonly [IndexExpr, IndexExpr, IndexExpr];
    const type = this.#comparable(expr.args);
    const [left, right] = [this.#forms.get(x), y && this.#forms.get(y)];
    const across = left && right && expr.fn in comparisons ? this.#ofDistance(combined(left, right, -1)) : undefined;
    if (across) return this.#compared(expr.fn as keyof typeof comparisons, across);
    const pair = () => [this.number(x, type), this.number(y, type)] as const;
    switch (expr.fn) {
      case "equal":
        return b.equal(...pair());
      case "notEqual":
        return b.not(b.equal(...pair()));
      case "less":
        return b.less(...pair());
      case "lessEqual":
        return b.lessEqual(...pair());
      case "greater":
        return b.less(this.number(y, type), this.number(x, type));
      case "greaterEqual":
        return b.lessEqual(this.number(y, type), this.number(x, type));
      case "and":
        return b.and(this.truth(x), this.truth(y));
      case "or":
        return b.or(this.truth(x), this.truth(y));
      case "not":
        return b.not(this.truth(x));
      case "select": {
        const condition = this.truth(x);
        return b.or(b.and(condition, this.truth(y)), b.and(b.not(condition), this.truth(z)));
      }
      default:
        return this.#differs(this.number(expr, "f64"));
    }
  }

  /** What compares with 0 as the sides of a comparison compare. */
  #compared(fn: keyof typeof comparisons, difference: Value): Value {
    const { b } = this;
    const zero = b.scalar(0, "f64");
    const [positive, equal] = comparisons[fn];
    if (positive === undefined) return equal ? b.equal(difference, zero) : b.not(b.equal(difference, zero));
    const [x, y] = positive ? [zero, difference] : [difference, zero];
    return equal ? b.lessEqual(x, y) : b.less(x, y);
  }

  /** c · (q - k) + constant, from the grid's difference; undefined where a form is not of that kind. */
  #ofDistance(form: LinearForm | undefined): Value | undefined {
    const { difference } = this.#grid;
    if (!form || !difference || form.terms.size !== 2) return undefined;
    const factor = form.terms.get(index("q"));
    if (factor === undefined || form.terms.get(index("k")) !== -factor) return undefined;
    const { b } = this;
    const scaled =
      factor === 1 ? difference : factor === -1 ? b.neg(difference) : b.mul(difference, b.scalar(factor, "f64"));
    return form.constant === 0 ? scaled : b.add(scaled, b.scalar(form.constant, "f64"));
  }

  #differs(x: Value): Value {
    return this.b.not(this.b.equal(x, this.b.scalar(0, x.type.dtype)));
  }

  /** Element type to compare in: that of the scores where one side is made of them. */
  #comparable(args: readonly IndexExpr[]): DType {
    return args.some((arg) => this.#scored.has(arg)) ? this.#options.dtype : "f64";
  }

  #number(expr: IndexExpr, dtype: DType): Value {
    const { b } = this;
    if (isTruth(expr, this.#tables) && expr.kind !== "number") return this.#cast(this.truth(expr), dtype);
    const across = expr.kind === "apply" ? this.#ofDistance(this.#forms.get(expr)) : undefined;
    if (across) return this.#cast(across, dtype);
    switch (expr.kind) {
      case "number":
        return b.scalar(expr.value, dtype);
      case "score":
        return this.#cast(this.#options.score!, dtype);
      case "index":
        return this.#cast(this.#grid[expr.name], dtype);
      case "length": {
        const length = this.#options.lengths[expr.name];
        return typeof length === "number" ? b.scalar(length, dtype) : this.#cast(b.size({ of: length }), dtype);
      }
      case "lookup":
        return this.#lookup(expr.table, expr.at, dtype);
      case "apply":
        return this.#apply(expr, expr.fn, expr.args, dtype);
    }
  }

  #apply(expr: IndexExpr, fn: IndexFn, args: readonly IndexExpr[], dtype: DType): Value {
    if (dtype === "f64" || this.#scored.has(expr)) return this.operation(fn, args, dtype);
    if (dtype === "f32" && smooth.has(fn)) return this.operation(fn, args, dtype);
    return this.#cast(this.number(expr, "f64"), dtype);
  }

  #cast(x: Value, to: DType): Value {
    return x.type.dtype === to ? x : this.b.cast(x, { to });
  }

  operation(fn: IndexFn, args: readonly IndexExpr[], dtype: DType): Value {
    const { b } = this;
    const [x, y, z] = args as readonly [IndexExpr, IndexExpr, IndexExpr];
    const first = () => this.number(x, dtype);
    const second = () => this.number(y, dtype);
    const one = (value: number) => b.scalar(value, dtype);
    switch (fn) {
      case "div": {
        const inner = dtype === "f64" ? undefined : sigmoidOf(x, y);
        return inner ? b.sigmoid(this.number(inner, dtype)) : b.div(first(), second());
      }
      case "add":
      case "sub":
      case "mul":
      case "min":
      case "max":
        return b[fn](first(), second());
      case "neg":
      case "abs":
      case "floor":
      case "ceil":
      case "sign":
      case "sqrt":
      case "exp":
      case "log":
      case "sin":
      case "cos":
      case "tanh":
        return b[fn](first());
      case "trunc":
        return this.truncated(first(), this.#bounds(x).low >= 0);
      case "mod":
        return this.#remainder(x, y, first(), second());
      case "pow": {
        const [base, exponent] = [first(), second()];
        const power = b.pow(base, exponent);
        if (this.#bounds(y).finite) return power;
        // 1 ** NaN is NaN in JavaScript, and so is 1 ** Infinity; elsewhere they are 1.
        const open = b.not(b.less(b.abs(exponent), one(Number.POSITIVE_INFINITY)));
        return b.select(b.and(open, b.equal(b.abs(base), one(1))), one(Number.NaN), power);
      }
      case "round": {
        const value = first();
        const below = b.floor(value);
        return b.select(b.lessEqual(one(0.5), b.sub(value, below)), b.add(below, one(1)), below);
      }
      case "select":
        return b.select(this.truth(x), second(), this.number(z, dtype));
      default: {
        if (!indexFunctions[fn].bits) return realFunction(b, fn, first(), second);
        const [left, right] = args.map((expr) => ({ value: this.#finite(expr), expr, bounds: this.#bounds(expr) }));
        return this.#cast(bitwise(b, fn, left!, right), dtype);
      }
    }
  }

  /** What bit operations see: NaN and infinities count as 0. */
  #finite(expr: IndexExpr): Value {
    const { b } = this;
    const value = this.number(expr, "f64");
    if (this.#bounds(expr).finite) return value;
    return b.select(b.less(b.abs(value), b.scalar(Number.POSITIVE_INFINITY, "f64")), value, b.scalar(0, "f64"));
  }

  /** With the sign of x; by an infinity, x itself. */
  #remainder(left: IndexExpr, right: IndexExpr, x: Value, y: Value): Value {
    const { b } = this;
    if (right.kind === "number" && Math.abs(right.value) === Number.POSITIVE_INFINITY) return x;
    const natural = this.#bounds(left).low >= 0 && this.#bounds(right).low >= 0;
    return b.sub(x, b.mul(y, this.truncated(b.div(x, y), natural)));
  }

  /** Without its fraction. */
  truncated(x: Value, natural: boolean): Value {
    const { b } = this;
    if (natural) return b.floor(x);
    return b.select(b.less(x, b.scalar(0, x.type.dtype)), b.ceil(x), b.floor(x));
  }

  /** Elements of a table: the axes themselves where the indices are those of the axes, else picked one by one. */
  #lookup(number: number, at: readonly IndexExpr[], dtype: DType): Value {
    const { b } = this;
    const table = this.#tables[number]!;
    const content =
      table.kind === "tensor"
        ? table.value
        : b.constant({ value: fromNumbers(table.truth ? "bool" : "f64", table.dims, table.data) });
    const source = this.#cast(content, dtype);
    const { shape } = source.type;
    const along = this.#alongAxes(source, at);
    if (along) return along;
    const flat = b.reshape(source, { shape: [product(shape)] });
    const offset = at.reduce<Value | undefined>((sum, part, axis) => {
      const inside = this.#clamped(part, shape[axis]!);
      return sum ? b.add(b.mul(sum, this.#size(shape[axis]!)), inside) : inside;
    }, undefined)!;
    const index = this.#ranked(offset);
    return b.gather(flat, this.#cast(index, "i64"), { axis: 0 });
  }

  /** `doc[b][q]` where doc is [B, Q] needs no gather: axes that are those of the grid are cut as it is. */
  #alongAxes(source: Value, at: readonly IndexExpr[]): Value | undefined {
    const { grid } = this.#options;
    if (grid && !grid.cuts) return undefined;
    const { shape } = source.type;
    const full: Dim[] = [1, 1, 1, 1];
    let last = -1;
    for (const [i, index] of at.entries()) {
      if (shape[i] === 1 && index.kind === "number" && index.value === 0) continue;
      if (index.kind !== "index") return undefined;
      const axis = axes[index.name];
      if (axis <= last || shape[i] !== this.#options.lengths[lengthNames[axis]]) return undefined;
      full[axis] = shape[i]!;
      last = axis;
    }
    const { q = [], k = [] } = grid?.cuts ?? {};
    const whole = this.b.reshape(source, { shape: full });
    return this.#cut(this.#cut(whole, axes.q, q), axes.k, k);
  }

  #cut(x: Value, axis: number, cuts: readonly Cut[]): Value {
    if (x.type.shape[axis] === 1 || cuts.length === 0) return x;
    const pieces = cuts.map(({ start, end }) => this.b.slice(x, { axis, start, end }));
    return pieces.length === 1 ? pieces[0]! : this.b.concat(...pieces, { axis });
  }

  #size(dim: Dim): Value {
    return typeof dim === "number" ? this.b.scalar(dim, "f64") : this.#cast(this.b.size({ of: dim }), "f64");
  }

  /** An index that may lie outside where a condition says nobody looks: there it is any that fits. */
  #clamped(expr: IndexExpr, size: Dim): Value {
    const { b } = this;
    const given = this.number(expr, "f64");
    const { low, finite } = this.#bounds(expr);
    const inside = typeof size === "number" && within(this.#bounds(expr), size);
    // The grid's difference may leave the lengths that bounds are told from.
    if (inside && !this.#grid.difference) return given;
    const value = finite ? given : b.select(b.equal(given, given), given, b.scalar(0, "f64"));
    const last = b.sub(this.#size(size), b.scalar(1, "f64"));
    const below = low >= 0 && !this.#grid.difference ? value : b.max(value, b.scalar(0, "f64"));
    return b.min(below, last);
  }
}
