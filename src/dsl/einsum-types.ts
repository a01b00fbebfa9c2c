import type { Differ, DimLike, IsWide, Keep, Shape, Show } from "./shape-types.ts";
import type { DTypeOf, ShapeOf, Tensor } from "./tensor.ts";

type Trim<S extends string> = S extends ` ${infer Rest}` ? Trim<Rest> : S extends `${infer Rest} ` ? Trim<Rest> : S;
type Operands<S extends string> = S extends `${infer Head},${infer Rest}` ? [Trim<Head>, ...Operands<Rest>] : [Trim<S>];
type Words<S extends string> = S extends ""
  ? []
  : S extends `${infer Head} ${infer Rest}`
    ? [Head, ...Words<Trim<Rest>>]
    : [S];
type Letters<S extends string> = S extends `${infer Head}${infer Rest}` ? [Head, ...Letters<Rest>] : [];

/** `bhqd,bhkd->bhqk` has no space within an operand: each letter is a label. */
type IsSpaced<Parts extends readonly string[]> = Parts extends readonly [
  infer Head extends string,
  ...infer Rest extends readonly string[],
]
  ? Head extends `${string} ${string}`
    ? true
    : IsSpaced<Rest>
  : false;
type Labels<Part extends string, Spaced> = Spaced extends true ? Words<Part> : Letters<Part>;

type Known = Record<string, { readonly dim: unknown; readonly operand: number }>;
interface Failure<M extends string> {
  readonly message: M;
}

/** Reads the sizes of labels off operands, until one has two sizes. */
type Sizes<
  Parts extends readonly string[],
  Xs extends readonly unknown[],
  Spaced,
  Seen extends Known = Record<never, never>,
  Index extends unknown[] = [0],
> = Parts extends readonly [infer Part extends string, ...infer MoreParts extends readonly string[]]
  ? Xs extends readonly [infer X, ...infer MoreXs]
    ? Walk<Labels<Part, Spaced>, ShapeOf<X>, Seen, Index["length"], Part> extends infer Next
      ? Next extends Failure<string>
        ? Next
        : Next extends Known
          ? Sizes<MoreParts, MoreXs, Spaced, Next, [...Index, 0]>
          : Seen
      : Seen
    : Xs extends readonly []
      ? Failure<`einsum: the spec has more operands than were given`>
      : Seen
  : Xs extends readonly []
    ? Seen
    : Xs extends readonly [unknown, ...unknown[]]
      ? Failure<`einsum: the spec has fewer operands than were given`>
      : Seen;

type Walk<
  Names extends readonly string[],
  S extends Shape,
  Seen extends Known,
  Operand extends number,
  Part extends string,
> =
  IsWide<S> extends true
    ? Seen
    : Names extends readonly [infer Name extends string, ...infer MoreNames extends readonly string[]]
      ? S extends readonly [infer Dim, ...infer MoreDims extends Shape]
        ? Name extends keyof Seen
          ? Differ<Seen[Name]["dim"], Dim> extends true
            ? Failure<`einsum: axis '${Name}' is ${Show<Seen[Name]["dim"]>} in operand ${Seen[Name]["operand"]} but ${Show<Dim>} in operand ${Operand}`>
            : Walk<MoreNames, MoreDims, Seen, Operand, Part>
          : Walk<
              MoreNames,
              MoreDims,
              Seen & { readonly [K in Name]: { readonly dim: Dim; readonly operand: Operand } },
              Operand,
              Part
            >
        : Failure<`einsum: operand ${Operand} has fewer axes than '${Part}' names`>
      : S extends readonly []
        ? Seen
        : Failure<`einsum: operand ${Operand} has more axes than '${Part}' names`>;

type IsReadable<S extends string> = string extends S ? false : S extends `${string}...${string}` ? false : true;

type Solve<S extends string, Xs extends readonly unknown[]> =
  IsReadable<S> extends true
    ? S extends `${infer Left}->${string}`
      ? Sizes<
          Operands<Left>,
          Xs,
          IsSpaced<[...Operands<Left>, ...Operands<S extends `${string}->${infer R}` ? R : "">]>
        >
      : Failure<`einsum: the spec needs '->'`>
    : Record<never, never>;

/** What is wrong with an einsum; never where nothing is. */
export type EinsumError<S extends string, Xs extends readonly unknown[]> =
  Solve<S, Xs> extends Failure<infer M> ? M : never;

type Pick<Names extends readonly string[], Seen> = Names extends readonly [
  infer Name extends string,
  ...infer More extends readonly string[],
]
  ? readonly [
      Name extends keyof Seen ? (Seen[Name] extends { readonly dim: infer D } ? Keep<D> : DimLike) : DimLike,
      ...Pick<More, Seen>,
    ]
  : readonly [];

/** The result of an einsum. */
export type EinsumResult<S extends string, Xs extends readonly unknown[]> = Tensor<
  IsReadable<S> extends true
    ? S extends `${infer Left}->${infer Right}`
      ? Pick<Labels<Trim<Right>, IsSpaced<[...Operands<Left>, Trim<Right>]>>, Solve<S, Xs>>
      : Shape
    : Shape,
  Xs extends readonly [infer X, ...unknown[]] ? DTypeOf<X> : DTypeOf<Xs[number]>
>;
