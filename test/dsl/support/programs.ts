import type { MaskFunction, ScoreFunction } from "../../../src/index.ts";

/** What the programs below capture. */
const environment = {
  table: [3, 1, 4, 1, 5],
  flags: [true, false, true, true, false, false, true],
  grid: [
    [1, 2],
    [3, 4],
  ],
  cube: [
    [
      [1, 2],
      [3, 4],
    ],
    [
      [5, 6],
      [7, 8],
    ],
  ],
  bytes: Uint8Array.from({ length: 20 }, (_, i) => i % 3),
  spans: [
    { start: 0, end: 4, near: true },
    { start: 2, end: 9, near: false },
  ],
  options: { window: 4, mode: "wide", nested: { stride: 2 } },
  many: new Set([0, 1, 2, 3, 5, 7, 8, 11, 12]),
  few: new Set([2, 3]),
  places: new Map([
    [0, 5],
    [1, 6],
  ]),
  causal: (({ q, k }) => k <= q) as MaskFunction,
  deep: (a: number) => (b: number) => (c: number) => (({ q, k }) => q - k < a + b + c) as MaskFunction,
  and:
    (...masks: readonly MaskFunction[]): MaskFunction =>
    (at) =>
      masks.every((mask) => mask(at)),
  perHead: [({ q, k }) => k <= q, ({ q, k }) => Math.abs(q - k) < 3] as readonly MaskFunction[],
  fib: function fib(n: number): number {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
  },
  absent: undefined,
};

const names = Object.keys(environment);
const make = <F>(source: string) => new Function(...names, `return ${source};`)(...Object.values(environment)) as F;

/**
 * Programs as source text, for B = H = 2, Q = 9, K = 13: what JavaScript allows and authors write, odd on purpose. What
 * they mean is what JavaScript says.
 */
const maskSources = {
  "Euclid's algorithm":
    "({ q, k }) => { let [a, b] = [q, k]; for (let i = 0; i < 20; i++) { if (b === 0) break; [a, b] = [b, a % b]; } return a === 1 || q === k; }",
  "Object.is": "({ q, k }) => Object.is(q % 3, k % (q - 1)) || Object.is(k * -q, 0) || Object.is(q < k, k)",
  "numbers as truth": "({ q, k }) => !(q % 2) && !!k && Boolean(k % 3)",
  "loose equality": "({ q, k }) => q == k || q != 3 && (q < k) == 1",
  "truth compared": "({ q, k }) => (q < k) === (k > 4) || (q === 2) !== true",
  "comma, void, template": "({ q, k }) => (q, void 0 === undefined && `a` === 'a' && q > k)",
  "NaN compared": "({ q, k }) => { const z = q % (k - 2); return z < 1 || z >= 1 || z !== z; }",
  "NaN denied": "({ q, k }) => !(q % (k - 2) < 1)",
  "kinds of numbers":
    "({ q, k }) => Number.isInteger(q / 2) && Number.isFinite(1 / k) || isNaN(k / q) || Number.isNaN(q % k) || Number.isSafeInteger(q / k) && isFinite(q / k)",
  "an option that is not there": "({ q, k }) => (options.other ?? 5) < q && (options?.deep?.deeper ?? 3) < k",
  "an option not there as a condition": "({ q, k }) => options.off ? q > k : k > q",
  "options taken apart":
    "({ q, k }) => { const { window = 1, other = 2, nested: { stride } } = options; return q - k < window && q % stride < other; }",
  "a call that is not there": "({ q, k }) => absent?.(q) ?? q > k",
  "a call that is there": "(at) => causal?.(at)",
  "lists that guard what follows":
    "(at) => [({ q }) => q < 5, ({ q }) => table[q] > 2].every((m) => m(at)) || [({ k }) => k > 4, ({ k }) => table[k] > 2].some((m) => m(at))",
  "searches that end":
    "({ q }) => [5, 7, 9].find((n) => q >= n) === 5 || [4, 5, 6].findIndex((n) => q > n || table[q] > n) === 1",
  "deeply nested functions":
    "Array.from({ length: 60 }, (_, i) => ({ q, k }) => q - k === i * 3).reduce((x, y) => (at) => x(at) || y(at))",
  "functions of functions": "and(causal, deep(0)(1)(2), and(({ k }) => k % 2 === 0))",
  "functions of functions, called within": "(at) => deep(1)(at.h)(-1)(at)",
  "called by call": "(at) => causal.call(null, at)",
  "indices changed": "(at) => causal({ ...at, q: at.q + options.nested.stride })",
  "indices changed as older targets do": "(at) => causal(Object.assign(Object.assign({}, at), { q: at.q + 2 }))",
  "a function for each head": "(at) => perHead[at.h](at)",
  "one of two functions": "(at) => (at.h === 0 ? causal : perHead[1])(at)",
  "objects of a list":
    "({ h, k }) => { const { start, end } = spans[h]; return start <= k && k < end || spans[h].near; }",
  "members of a large set": "({ q, k }) => many.has(q) && !many.has(k - 2)",
  "members of a small set": "({ q, k }) => few.has(q) || few.has(k)",
  "members of lists": "({ q, k }) => table.includes(q) && [1, 2, k].includes(4) || [...many].includes(k)",
  "keys of a map": "({ q }) => places.has(q)",
  "beside a table": "({ q, k }) => q < 5 && table[q] > 2 || k >= 8 && table[k - 8] === 1",
  "beside a table, returned early": "({ q }) => { if (q >= 5) return false; return table[q] > 2; }",
  "undefined beside a table": "({ q, k }) => table[q] === undefined || table[q - k] !== undefined || table[k] == null",
  "an optional row": "({ q, k }) => (grid[q]?.[k] ?? 9) > 2",
  "an element and a default": "({ q }) => flags[q] ?? q % 2 === 0",
  "elements of rows": "({ b, q }) => { for (const x of grid[b]) if (x === q) return true; return false; }",
  "searched lists":
    "({ q, k }) => table.indexOf(q) >= 0 || table.lastIndexOf(k) > 2 || table.findIndex((x) => x > q) === 2",
  "every and some": "({ q, k }) => table.every((x) => q + x > 1) && table.some((x, i) => k === x + i)",
  "returned from a loop":
    "({ q, k }) => { for (let i = 1; i < 5; i++) { if (q - k === i * i) return true; if (q === i) return false; } return k < 2; }",
  "a method": "({ m({ q, k }) { return q > k; } }).m",
  "a function expression": "function ({ q, k }) { return q > k; }",
  "a function that calls itself":
    "function self({ q, k }, n = 4) { return n === 0 ? q > k : self({ q, k: k + 1 }, n - 1); }",
  "no arguments": "() => true",
} as const;

const scoreSources = {
  powers: "(s, { q, k }) => s + (-2) ** (q - 3) + (k - 4) ** 2 + 0 ** k + (q - 4) ** ((k - 5) / 2)",
  remainders:
    "(s, { q, k }) => (q - 6) % 4 + (k % -3) + (s % 0.5) + (q - k) % (k - 2) + q % Infinity + (2 ** 40 + q) % (k * 1000 + 7)",
  shifts:
    "(s, { q, k }) => (1 << q + 28) + ((q - 5) << 33) + ((k - 6) >> 1) + ((k - 6) >>> 28) + (-1 >>> k) + (k >> -1) + (q << k * 5) + (-q >>> k * 7)",
  "bits of large numbers":
    "(s, { q, k }) => (2 ** 53 + 2 * q | 0) + (-(2 ** 40) - q >>> 3) + (2 ** 32 * q + k ^ 5) + (~(2 ** 31 + q)) + (1.9 << 31) + (-1.5 & 0xff) + (2 ** 31 + q | 0)",
  "bits of what is no number": "(s, { q, k }) => (Math.log2(q) | 0) + ~~(1 / k) + (q / 0 >>> 1) + (0 / q << 2)",
  "compound assignments":
    "(s, { q, k }) => { let x = s; x += q; x -= k; x *= 2; x /= 3; x %= 5; x **= 2; let y = q; y <<= 3; y >>= 1; y >>>= 1; y &= 7; y |= 8; y ^= 3; return x + y; }",
  "logical assignments":
    "(s, { q, k }) => { let n; n ??= q; let m = 0; m ||= k; let z = q; z &&= 5; return n + m * z; }",
  "assignments within expressions":
    "(s, { q, k }) => { let a, b; a = b = q; const c = (a += k); let i = 0; return a + b * c + table[i++] * q + table[i++] + --i; }",
  "statements that are conditions":
    "(s, { q, k }) => { let n = 0; q > 3 && (n = k); k > 3 || (n += 5); q > 4 ? n++ : n--; return n; }",
  minified:
    "(s, { q, k }) => { let a = 0, t; return t = q - k, t < 0 && (t = -t), a += t, a > 3 ? !0 + 1 : (a += 1, a); }",
  swapped: "(s, { q, k }) => { let a = q, b = k; [a, b] = [b, a]; ({ a } = { a: a * 2 }); return a - b; }",
  vars: "(s, { q }) => { if (q > 3) { var z = 2; } else { var z = 5; } for (var i = 0; i < 3; i++); return z * i; }",
  "NaN as a condition": "(s, { q }) => (q % 0 ? 1 : 2) + ((q - 3) / (q - 3) ? 4 : 8) + (NaN || 16)",
  rounding:
    "(s, { q, k }) => Math.round((q - 5) / 2) + 10 * Math.round(k / 2 - 3.25) + 100 * Math.round(s) + Math.round(0.49999999999999994) + Math.trunc(-q / 2) * 3",
  "least and greatest":
    "(s, { q, k }) => Math.min() === Infinity ? Math.max(q, k, 3) + Math.min(q) + Math.max(...[q, k, 5], ...table) : 0",
  constants:
    "(s, { q }) => q * Math.PI + Math.E + Math.SQRT1_2 + Number.EPSILON + (s > Number.MAX_SAFE_INTEGER ? 1 : 0) + (s < Number.POSITIVE_INFINITY ? 1 : 0)",
  "numbers made": "(s, { q, k }) => Number(q < k) + Number(q) + +(q > k) + Number('3') + (q < k) + -(q === k)",
  "nested conditions": "(s, { q, k }) => q < 3 ? k < 2 ? 1 : k < 5 ? 2 : 3 : q > 7 ? s : -s",
  "early returns":
    "(s, { q, k }) => { if (q > 2) { if (k > 3) return s; if (k === 1) { return 2 * s; } else if (k === 2) return 3 * s; } else if (k < 1) return 9; return s + 1; }",
  "lets in branches":
    "(s, { q, k }) => { let x = 0, y = 1; if (q > k) { x = q; y += x; } else { x = k; const z = x * 2; y = z; } if (y > 5) y = 5; return s * x + y; }",
  "a switch":
    "(s, { q, k }) => { switch (q % 4) { case 0: return s; case 1: return 2 * s; case 2: { return 3 * s; } default: return k; } }",
  "a switch that breaks":
    "(s, { q }) => { let f = 1; switch (q % 3) { case 0: f = 2; break; case 1: f = 3; break; } return s * f; }",
  "a switch that falls through":
    "(s, { q }) => { let f = 1; switch (q % 5) { case 0: case 1: f = 3; break; case 2: f += 1; default: f *= 7; break; case 3: f = 11; } return s * f; }",
  "a switch of conditions":
    "(s, { q, k }) => { switch (true) { case q < 2: return 1; case k < 4: return 2; default: return 3; } }",
  "a switch of texts":
    "(s) => { switch (options.mode) { case 'narrow': return s; case 'wide': return s * 2; } return 0; }",
  "a break in a switch in a loop":
    "(s, { q }) => { let n = 0; for (let i = 0; i < 4; i++) { switch (i % 2) { case 0: if (q > i) break; n += 10; break; default: n += q; } } return n; }",
  defaults:
    "(s, { q, k }, w = 5) => { const f = (x, y = x + 1, { a = 3, b: c = a } = {}) => x * y + a + c; return f(q) + f(k, 2) + f(1, undefined, { b: q }) + w; }",
  "taken apart":
    "(s, { q: i, k: j = 3, ...rest }) => { const [a, , b = 4] = [i, 9]; const { x: { y: z = j } = {} } = { x: { y: a } }; return z + b + j + rest.h; }",
  "spread arguments": "(s, { q, k }) => ((...xs) => xs.length * xs[1] + xs.at(-1))(q, ...[k, 3])",
  "declared below": "(s, { q, k }) => { return f(q) + f(k); function f(x) { return x * x; } }",
  "recursion that ends":
    "(s, { q, k }) => { const go = (n, x) => n === 0 ? x : go(n - 1, x * 2 + k % (n + 1)); return go(5, q) + fib(7); }",
  "lists reduced":
    "(s, { q, k }) => table.reduce((a, x, i) => a + x * (q > i), 0) + table.map((x) => x * k).reduce((a, b) => a + b) + table.filter((x) => x > 2).length + table.reduceRight((a, x) => a * 2 + x, q)",
  "lists made":
    "(s, { q, k }) => Array.from({ length: 4 }, (_, i) => i * q).reduce((a, b) => a + b, 0) + [...Array(3).keys()].reduce((a, i) => a + i * k, 0) + new Array(3).fill(1).map((x, i) => x * i * q).reduce((a, b) => a + b, 0) + Array.of(q, k)[1]",
  "lists searched":
    "(s, { q, k }) => (table.indexOf(4) + table.lastIndexOf(1) + table.at(-1) + table.findIndex((x) => x > 3) + table.find((x) => x > 3)) * q + table.slice(1, 3).length + [...table].reverse()[0] + [q, k].at(1) + table.flatMap((x) => [x, x]).length",
  "lists visited":
    "(s, { q }) => { let t = 0; table.forEach((x, i) => { if (i === 2) return; t += x * i * q; }); for (const [i, x] of table.entries()) t += i * x; for (const [a, b] of places) t += a * b; return t; }",
  "lists indexed": "(s, { q, k }) => [1, q, k][k % 3] + table.at(q % 5) + table.at((q % 5) - 5)",
  tables:
    "(s, { b, h, q, k }) => bytes[q] + grid[b][h] + cube[b][h][k % 2] + grid[1][h] + cube[0][b][h] * 3 + grid[h].length + bytes.length + spans[h].start",
  rows: "(s, { b, h }) => { const row = grid[b]; const [x, y] = row; return row[h] + row[0] + x * y + grid[b].reduce((a, x) => a + x, 0) + Math.max(...grid[h]); }",
  "beside a table, a default": "(s, { q, k }) => (table[q - k] ?? 7) + (table[q] === undefined ? -1 : table[q % 5])",
  loops:
    "(s, { q }) => { let t = 0; for (let i = 0, j = 10; i < j; i += 3, --j) { if (i === 3) continue; t += i * q + j; } return t; }",
  "a break by the indices":
    "(s, { q, k }) => { let n = 0; for (let i = 0; i < 6; i++) { if (i >= q) break; n += i + k; } return n; }",
  "a continue by the indices":
    "(s, { q, k }) => { let n = 0, i = 0; for (; i < 6; i++) { if (i % 2 === q % 2) continue; n += i + k; if (n > 20) return -n; } return n + i; }",
  "a loop that indices end":
    "(s, { q, k }) => { let x = q, n = 0; for (let i = 0; i < 4 && x > 0; i++) { x >>= 1; n += k; } return n * 100 + x; }",
  "loops that a condition leaves, changing variables":
    "(s, { q, k }) => { let n = 0; for (let i = 0; i < 4 && !(i !== q && (n += i, n > k)); i++); return n; }",
  "conditions that change variables":
    "(s, { q, k }) => { let n = 0; const r = q > 3 && (n += k, n > 5) ? n : -n; if (q > 2 && (n += 1, n > 4)) return 100 + n; return n + 1000 * r; }",
  scopes:
    "(s, { q, k }) => { const x = q; { const x = k; s += x; } for (let x = 0; x < 2; x++) s += x; return s + x; }",
  "closures that change variables":
    "(s, { q, k }) => { let n = 0; const add = (x) => { n += x; }; if (q > 3) add(k); add(1); const get = () => n; n += q; return get() + (n = 5, get()); }",
  "what inner functions change before they return":
    "(s, { q, k }) => { let n = 0, m = 0; const f = (x) => { m += 1; if (x > 3) { m += 2; return; } n += x; for (let i = 0; i < 3; i++) { n += 1; if (i === k) return; m += i; } n += 100; }; f(q); f(1); return n + 1000 * m; }",
  "inner functions that answer for some indices":
    "(s, { q }) => { const f = (x) => { if (x > 3) return x; }; return f(q) ?? -1; }",
  "trees walked up":
    "(s, { q, k }) => { const up = [-1, 0, 0, 1, 1, 2, 2, 3, 3]; let at = q; for (let i = 0; i < 5; i++) { if (at === k) return i; if (at < 0) return -9; at = up[at]; } return s; }",
  "parameters changed":
    "(s, { q, k }) => { q += 1; s *= 2; [q, k] = [k, q]; const f = (a, b = a++, c = a) => a + b * 10 + c * 100; return f(q) + k + s; }",
  "undefined for some indices":
    "(s, { q }) => { let x; if (q > 3) x = 1; const y = x + 1; x ??= q; return (y > 1 ? 5 : y === 2 ? 6 : 7) + x; }",
  "undefined for no index": "(s, { q }) => { let x; if (q > 3) x = 1; if (q <= 3) x = 2; return x; }",
  "what is not found":
    "(s, { q, k }) => (table.find((x) => x > q) ?? -1) + (table.find((x) => x > k) === undefined ? 10 : 0)",
  "functions in a list":
    "(s, { q, k }) => { const fs = [0, 1, 2].map((i) => (x) => x * i); return fs.reduce((a, f) => a + f(q), 0) + fs[k % 3](q); }",
  "functions of Math by other names":
    "(s, { q, k }) => { const { abs, max: most } = Math; return most(abs(q - k), 2); }",
  "jumps in loops in loops":
    "(s, { q, k }) => { let n = 0; for (let i = 0; i < 5; i++) { if (i === q) continue; for (let j = 0; j < 3; j++) { if (j > k) break; if ((i + j) % 2) continue; n += i * j + 1; } switch ((i + q) % 3) { case 0: continue; case 1: n += 1; break; default: n += 10; } n += 100; } return n; }",
  "objects visited":
    "(s, { q, k }) => { let t = 0; for (const x of Object.values({ a: 2, b: q })) t += x; for (const [, x] of Object.entries({ a: k })) t += x; return t + Object.keys({ a: 1 }).length; }",
  "keys known now":
    "(s, at) => { const n = 'q'; return at[n] + { ['x']: 3, m(x) { return x * 2; } }.m(at.k) + options['nested']['stride']; }",
  lengths:
    "(s, { q, k }) => Math.hypot(q - 4, k - 6) + Math.hypot() + Math.hypot(q) + Math.hypot(q - 4, k - 6, 2) + Math.hypot(s, q)",
  angles:
    "(s, { q, k }) => Math.atan2(q - 4, k - 6) + Math.atan2(-q, -1) + Math.atan2(0, k - 3) + Math.atan(10 ** (q - 4) * (k - 5)) + Math.atan2(s, k - 3)",
  inverses:
    "(s, { q, k }) => Math.asin((k - 6) / 6) + Math.acos((k - 6) / 6) + Math.atanh((k - 6) / 6.5) + Math.acosh(1 + q / 7) + Math.asinh(s)",
  "outside of domains":
    "(s, { q, k }) => Math.asin(k - 5) + Math.acosh(q - 3) + Math.atanh(k - 5) + Math.log1p((k - 5) / 2) + Math.sqrt(q - 1)",
  hyperbolas: "(s, { q, k }) => Math.sinh((q - 4) / 3) + Math.cosh(k / 5) + Math.tanh(s) + Math.sinh(s)",
  "roots and logarithms":
    "(s, { q, k }) => Math.cbrt(q - 4) + Math.cbrt(s) + Math.log10(k) + Math.log2(k + 1) + Math.log1p(q) + Math.exp(-k) + Math.expm1(s) + Math.tan(q / 3)",
  "exact roots and logarithms":
    "(s, { q, k }) => (Math.cbrt((q - 4) ** 3) === q - 4) + (Math.log10(10 ** q) === q) + (Math.log2(2 ** k) === k) + (Math.hypot(3 * q, 4 * q) === 5 * q)",
  "near zero":
    "(s, { q, k }) => (Math.expm1(1e-9 * (q - 4)) + Math.log1p(1e-9 * (k - 4)) + Math.sinh(1e-9 * k) + Math.asinh(1e-9 * q) + Math.atanh(1e-9 * q)) * 1e9",
  "32 bits":
    "(s, { q, k }) => Math.clz32(2 ** (q * 4) - 1) + Math.clz32(k - 3) + Math.imul(0x12345678 + q, 0x9abcdef + k * 77777777) + Math.imul(2 ** 33 + q, -k) + Math.fround(q / 3) + Math.fround(s)",
} as const;

export const oddMasks: readonly (readonly [name: string, fn: MaskFunction])[] = Object.entries(maskSources).map(
  ([name, source]) => [name, make<MaskFunction>(source)],
);
export const oddScores: readonly (readonly [name: string, fn: ScoreFunction])[] = Object.entries(scoreSources).map(
  ([name, source]) => [name, make<ScoreFunction>(source)],
);
