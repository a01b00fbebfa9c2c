import fc from "fast-check";

/**
 * Source text of random functions of `s` and `{ b, h, q, k }`: expressions, variables that branches, loops and switches
 * change, early returns, breaks and continues, tables with what counts beside them, calls of inner functions. What they
 * mean is what JavaScript says. `w` is 5, `t` a table of 4 numbers, `u` a grid of 2 × 3.
 */
interface Grammar {
  readonly number: string;
  readonly truth: string;
  readonly statement: string;
  readonly block: string;
}

const binary = ["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", ">>>"];
const unary = ["floor", "round", "trunc", "abs", "sign", "ceil", "sqrt", "clz32", "cbrt"];
const assignments = ["=", "+=", "-=", "*=", "|=", "%="];
const variables = ["x", "y"];

const { number, truth, block } = fc.letrec<Grammar>((tie) => ({
  number: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(
      "b",
      "h",
      "q",
      "k",
      "3",
      "0.5",
      "7",
      "w",
      "-2",
      "x",
      "y",
      "s",
      "2 ** 31",
      "t[q & 3]",
      "u[b][k % 3]",
    ),
    fc.tuple(tie("number"), fc.constantFrom(...binary), tie("number")).map(([x, op, y]) => `(${x} ${op} ${y})`),
    fc.tuple(fc.constantFrom(...unary), tie("number")).map(([f, x]) => `Math.${f}(${x})`),
    fc
      .tuple(fc.constantFrom("min", "max", "imul"), tie("number"), tie("number"))
      .map(([f, x, y]) => `Math.${f}(${x}, ${y})`),
    fc.tuple(tie("truth"), tie("number"), tie("number")).map(([c, x, y]) => `(${c} ? ${x} : ${y})`),
    fc.tuple(tie("number"), tie("number")).map(([x, y]) => `(${x} || ${y})`),
    fc.tuple(tie("number"), tie("number")).map(([x, y]) => `(t[Math.round(${x}) | 0] ?? ${y})`),
    fc.tuple(tie("number"), tie("number")).map(([x, y]) => `[1, ${x}, ${y}].reduce((a, i, n) => a + i * n, 0)`),
    fc
      .tuple(fc.constantFrom(...variables), fc.constantFrom(...assignments), tie("number"))
      .map(([v, op, x]) => `(${v} ${op} ${x})`),
    tie("number").map((x) => `f(${x})`),
  ),
  truth: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc
      .tuple(tie("number"), fc.constantFrom("<", "<=", ">", ">=", "===", "!=="), tie("number"))
      .map(([x, op, y]) => `(${x} ${op} ${y})`),
    fc.tuple(tie("truth"), fc.constantFrom("&&", "||"), tie("truth")).map(([x, op, y]) => `(${x} ${op} ${y})`),
    tie("number").map((x) => `!(${x})`),
    tie("number").map((x) => `t.includes(${x})`),
  ),
  statement: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc
      .tuple(fc.constantFrom(...variables), fc.constantFrom(...assignments), tie("number"))
      .map(([v, op, x]) => `${v} ${op} ${x};`),
    fc.constantFrom("x++;", "--y;"),
    tie("number").map((x) => `return ${x};`),
    tie("number").map((x) => `g(${x});`),
    fc.tuple(tie("truth"), tie("block")).map(([c, body]) => `if (${c}) ${body}`),
    fc.tuple(tie("truth"), tie("block"), tie("block")).map(([c, yes, no]) => `if (${c}) ${yes} else ${no}`),
    fc
      .tuple(tie("truth"), fc.constantFrom("break", "continue"), tie("block"), tie("statement"))
      .map(([c, jump, body, last]) => `for (let i = 0; i < 3; i++) { x += i; if (${c}) ${jump}; ${last} { ${body} } }`),
    fc
      .tuple(tie("number"), tie("statement"), tie("statement"), tie("statement"))
      .map(
        ([of, x, y, z]) => `switch (${of}) { case 1: ${x} case 2: case 3: ${y} break; default: ${z} case 0: x += 1; }`,
      ),
    fc.tuple(tie("truth"), tie("number")).map(([c, x]) => `${c} && (y = ${x});`),
  ),
  block: fc.array(tie("statement"), { maxLength: 3, depthIdentifier: "block" }).map((all) => `{ ${all.join(" ")} }`),
}));

const head =
  "(s, { b, h, q, k }) => { let x = q, y = 1; const f = (n) => n * 2 - y; const g = (n) => { if (n > k) return; x += n; if (n < 0) { y += 1; return; } y = n; };";

export const scoreProgram = fc.tuple(block, number).map(([body, answer]) => `${head} ${body} return ${answer}; }`);
export const maskProgram = fc
  .tuple(block, truth)
  .map(
    ([body, answer]) =>
      `({ b, h, q, k }) => { const s = 0.5; ${head.slice(head.indexOf("let"))} ${body.replaceAll(/return ([^;]+);/g, "return !($1);")} return ${answer}; }`,
  );

export const captured = {
  w: 5,
  t: [4, -1, 0.25, 2],
  u: [
    [1, 2, 3],
    [-1, 0.5, 7],
  ],
};
