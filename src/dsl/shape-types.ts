import type { DimExpr } from "../ir/dim.ts";
import type { DType } from "../ir/dtype.ts";

/** How an author writes a dimension: `64`, `"seq"`, `"past + seq"`, or a dimension taken from another tensor. */
export type DimLike = number | string | DimExpr;

/** A shape as the type checker sees it. Literal dims are compared; anything wider is left to the build. */
export type Shape = readonly DimLike[];

/** An expression such as `past + seq` has many spellings, so the type checker does not compare it. */
type DimType<T> = T extends `${string}${" " | "+" | "-" | "*" | "/" | "^" | "("}${string}` ? string | number : Keep<T>;

/** `T` where it is a dimension, which it is: the type checker cannot always see that. */
export type Keep<T> = T extends DimLike ? T : DimLike;

/** The dims of a declaration as the type checker keeps them. */
export type Dims<S extends Shape> = { readonly [K in keyof S]: DimType<S[K]> };

/** `T`, or the message `E` where there is one: an argument that is wrong is shown why. */
export type Checked<T, E> = [E] extends [never] ? T : E;

/** Two literal types that cannot be the same value. */
export type Differ<A, B> = [A & B] extends [never] ? true : false;

export type IsWide<S extends Shape> = number extends S["length"] ? true : false;

/** A dimension as text for messages. */
export type Show<T> = T extends string | number ? `${T}` : "?";

type Narrower<A, B> = [A] extends [B] ? A : [B] extends [A] ? B : A | B;
type Stretch<A, B> = A extends 1 ? B : B extends 1 ? A : Narrower<A, B>;

/** The shape two shapes broadcast to, aligned at the last axis. */
export type Broadcast<A extends Shape, B extends Shape, Done extends Shape = readonly []> =
  IsWide<A> extends true
    ? Shape
    : IsWide<B> extends true
      ? Shape
      : A extends readonly [...infer HeadA extends Shape, infer LastA]
        ? B extends readonly [...infer HeadB extends Shape, infer LastB]
          ? Broadcast<HeadA, HeadB, readonly [Keep<Stretch<LastA, LastB>>, ...Done]>
          : readonly [...A, ...Done]
        : readonly [...B, ...Done];

type Clash<A, B> = A extends 1 ? false : B extends 1 ? false : Differ<A, B>;

/** What keeps two shapes from broadcasting; never where nothing does. */
export type BroadcastError<Op extends string, A extends Shape, B extends Shape> =
  IsWide<A> extends true
    ? never
    : IsWide<B> extends true
      ? never
      : A extends readonly [...infer HeadA extends Shape, infer LastA]
        ? B extends readonly [...infer HeadB extends Shape, infer LastB]
          ? Clash<LastA, LastB> extends true
            ? `${Op}: shapes do not broadcast: ${Show<LastA>} in the first operand meets ${Show<LastB>} in the second`
            : BroadcastError<Op, HeadA, HeadB>
          : never
        : never;

/** What is wrong about mixing two element types; never where they agree. */
export type DTypeError<Op extends string, A extends DType, B extends DType> =
  Differ<A, B> extends true ? `${Op}: element types differ: ${A} and ${B}; cast one of them` : never;

type Digits = {
  0: [];
  1: [0];
  2: [0, 0];
  3: [0, 0, 0];
  4: [0, 0, 0, 0];
  5: [0, 0, 0, 0, 0];
  6: [0, 0, 0, 0, 0, 0];
  7: [0, 0, 0, 0, 0, 0, 0];
  8: [0, 0, 0, 0, 0, 0, 0, 0];
  9: [0, 0, 0, 0, 0, 0, 0, 0, 0];
};
type DigitTuple<H> = H extends `${infer N extends keyof Digits}` ? Digits[N] : [];
type Ten<T extends 0[]> = [...T, ...T, ...T, ...T, ...T, ...T, ...T, ...T, ...T, ...T];

/** A tuple as long as the number reads. Only for numbers below 1000: the type checker counts with it. */
type Count<S extends string, Done extends 0[] = []> = S extends `${infer H}${infer Rest}`
  ? Count<Rest, [...Ten<Done>, ...DigitTuple<H>]>
  : Done;

type Small<N extends number> = `${N}` extends
  | `${number}.${number}`
  | `-${string}`
  | `${string}e${string}`
  | "0"
  | `${infer _A}${infer _B}${infer _C}${infer _D}${infer _More}`
  ? `${N}` extends `${infer _A}${infer _B}${infer _C}${infer Rest}`
    ? Rest extends ""
      ? true
      : false
    : false
  : true;

type TakeOut<T extends 0[], N extends 0[], Times extends 0[] = []> = T extends [...N, ...infer Rest extends 0[]]
  ? TakeOut<Rest, N, [...Times, 0]>
  : [times: Times["length"], rest: T];

type TrimZeros<S extends string> = S extends `0${infer Rest extends `${number}`}` ? TrimZeros<Rest> : S;
type ToNumber<S extends string> = TrimZeros<S> extends `${infer N extends number}` ? N : number;

type LongDivision<
  S extends string,
  N extends 0[],
  Rest extends 0[] = [],
  Quotient extends string = "",
> = S extends `${infer H}${infer More}`
  ? TakeOut<[...Ten<Rest>, ...DigitTuple<H>], N> extends [times: infer Q extends number, rest: infer R extends 0[]]
    ? LongDivision<More, N, R, `${Quotient}${Q}`>
    : number
  : Rest extends []
    ? ToNumber<Quotient>
    : "remainder";

type IsOne<T> = [T] extends [never] ? false : number extends T ? false : T extends number ? true : false;

/** `A / B` for literals with `B` below 1000; `"remainder"` where it is no integer; `number | string` where unknown. */
export type Divide<A, B> =
  IsOne<A> extends true
    ? IsOne<B> extends true
      ? Small<B & number> extends true
        ? LongDivision<`${A & number}`, Count<`${B & number}`>>
        : number | string
      : number | string
    : number | string;

type Last<S extends string> = S extends `${infer H}${infer Rest}` ? (Rest extends "" ? H : Last<Rest>) : "";
type Init<S extends string, Done extends string = ""> = S extends `${infer H}${infer Rest}`
  ? Rest extends ""
    ? Done
    : Init<Rest, `${Done}${H}`>
  : Done;
type Repeat<N extends 0[], D extends 0[], Done extends 0[]> = D extends [0, ...infer Rest extends 0[]]
  ? Repeat<N, Rest, [...N, ...Done]>
  : Done;

type LongProduct<S extends string, N extends 0[], Carry extends 0[] = [], Done extends string = ""> = S extends ""
  ? ToNumber<Carry["length"] extends 0 ? Done : `${Carry["length"] & number}${Done}`>
  : Repeat<N, DigitTuple<Last<S>>, Carry>["length"] extends infer L extends number
    ? LongProduct<Init<S>, N, Count<Init<`${L}`>>, `${Last<`${L}`>}${Done}`>
    : number;

/** `A · B` for literals with `B` below 1000; `number | string` where unknown. */
export type Multiply<A, B> =
  IsOne<A> extends true
    ? IsOne<B> extends true
      ? Small<B & number> extends true
        ? LongProduct<`${A & number}`, Count<`${B & number}`>>
        : number | string
      : number | string
    : number | string;

/** The shape with its last axis replaced. */
export type ReplaceLast<S extends Shape, D> =
  IsWide<S> extends true
    ? Shape
    : S extends readonly [...infer Head extends Shape, DimLike]
      ? readonly [...Head, Keep<D>]
      : Shape;
