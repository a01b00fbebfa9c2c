import { fail } from "./diagnostics.ts";
import { add, ceilDiv, type Dim, floorDiv, max, min, mod, mul, sub, symbol } from "./dim.ts";

const tokenPattern = /\s*(?:(\d+)|([A-Za-z_][A-Za-z0-9_.]*)|([-+*/^(),]))/y;

/** Parentheses within parentheses that are read. */
const nestingLimit = 100;
/** Terms and characters of a dimension written out, which products and calls within calls multiply. */
const termLimit = 256;
const textLimit = 2 ** 14;

const termCount = (dim: Dim): number => (typeof dim === "number" ? 1 : dim.terms.length);

function isReadable(dim: Dim): boolean {
  if (typeof dim === "number") return Number.isSafeInteger(dim);
  const { key, terms } = dim;
  return (
    key.length <= textLimit &&
    terms.length <= termLimit &&
    terms.every(
      ({ coefficient, factors }) => Number.isSafeInteger(coefficient) && factors.every(([, n]) => n <= termLimit),
    )
  );
}

/** The dimension a text such as `past + seq`, `2*seq - 1` or `ceil(seq/64)` stands for. Throws QKV203. */
export function parseDim(text: string): Dim {
  const tokens = tokenise(text);
  let at = 0;
  let depth = 0;
  const bad = (): never =>
    fail("QKV203", `"${text.length > 200 ? `${text.slice(0, 200)}…` : text}" is no dimension`, {
      help: 'write "seq", "past + seq", "2*seq - 1"',
    });
  const accept = (token: string) => tokens[at] === token && ++at > 0;
  const expect = (token: string) => accept(token) || bad();
  const checked = (dim: Dim): Dim => (isReadable(dim) ? dim : bad());
  const times = (x: Dim, y: Dim): Dim => (termCount(x) * termCount(y) <= 16 * termLimit ? checked(mul(x, y)) : bad());

  const sumOf = (): Dim => {
    if (++depth > nestingLimit) bad();
    const value = termsOf();
    depth--;
    return value;
  };
  const termsOf = (): Dim => {
    let value = accept("-") ? times(-1, productOf()) : productOf();
    for (;;) {
      if (accept("+")) value = checked(add(value, productOf()));
      else if (accept("-")) value = checked(sub(value, productOf()));
      else return value;
    }
  };
  const productOf = (): Dim => {
    let value = powerOf();
    while (accept("*")) value = times(value, powerOf());
    return value;
  };
  const powerOf = (): Dim => {
    const base = atomOf();
    if (!accept("^")) return base;
    const power = Number(tokens[at++]);
    if (!(power >= 1 && power <= 8)) bad();
    let value = base;
    for (let i = 1; i < power; i++) value = times(value, base);
    return value;
  };
  const atomOf = (): Dim => {
    const token = tokens[at++] ?? bad();
    if (/^\d/.test(token)) return Number.isSafeInteger(Number(token)) ? Number(token) : bad();
    if (token === "(") {
      const value = sumOf();
      expect(")");
      return value;
    }
    if (!/^[A-Za-z_]/.test(token)) return bad();
    return tokens[at] === "(" ? callOf(token) : symbol(token);
  };
  const callOf = (fn: string): Dim => {
    expect("(");
    const left = sumOf();
    const slash = fn === "ceil" || fn === "floor";
    expect(slash ? "/" : ",");
    const right = slash ? productOf() : sumOf();
    expect(")");
    const apply = new Map([
      ["ceil", ceilDiv],
      ["floor", floorDiv],
      ["mod", mod],
      ["max", max],
      ["min", min],
    ]).get(fn);
    return apply ? checked(apply(left, right)) : bad();
  };

  const value = sumOf();
  return at === tokens.length ? value : bad();
}

function tokenise(text: string): readonly string[] {
  const tokens: string[] = [];
  tokenPattern.lastIndex = 0;
  const end = text.trimEnd().length;
  while (tokenPattern.lastIndex < end) {
    const match = tokenPattern.exec(text);
    if (!match || tokens.length > 10_000) return ["?"];
    tokens.push(match[1] ?? match[2] ?? match[3]!);
  }
  return tokens;
}
