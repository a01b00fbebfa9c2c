import type { MaskFunction, ScoreFunction } from "../../../src/index.ts";
import type { Draw } from "./draw.ts";

/** A function drawn at random, and what it says, for messages. */
export type Drawn<F> = readonly [fn: F, text: string];

const documents = Array.from({ length: 2000 }, (_, i) => Math.floor(Math.sqrt(i / 5)));

/** Masks of every form that is computed in a way of its own, and some of none. */
const atoms: readonly ((draw: Draw) => Drawn<MaskFunction>)[] = [
  () => [({ q, k }) => k <= q, "k <= q"],
  (draw) => {
    const reach = draw.int(1, 90);
    return [({ q, k }) => Math.abs(q - k) <= reach, `|q - k| <= ${reach}`];
  },
  (draw) => {
    const [size, shift] = [draw.int(1, 90), draw.int(-20, 20)];
    return [({ q, k }) => k <= q + shift && q - k < size, `k <= q + ${shift} && q - k < ${size}`];
  },
  (draw) => {
    const reach = [draw.int(5, 55), draw.int(5, 205)];
    return [({ h, q, k }) => Math.abs(q - k) <= reach[h % 2]!, `|q - k| <= [${reach}][h]`];
  },
  (draw) => {
    const n = draw.int(20, 170);
    return [({ q, k }) => Math.floor(q / n) === Math.floor(k / n), `blocks of ${n}`];
  },
  (draw) => {
    const n = draw.int(1, 30);
    return [({ k }) => k < n, `k < ${n}`];
  },
  (draw) => {
    const n = draw.int(1, 20);
    return [({ q, k }) => q < n || k < n, `q or k < ${n}`];
  },
  (draw) => {
    const [step, reach] = [draw.int(2, 6), draw.int(10, 110)];
    return [({ q, k }) => Math.abs(q - k) % step === 0 && Math.abs(q - k) <= reach, `every ${step}. within ${reach}`];
  },
  () => [({ q, k }) => documents[q] === documents[k], "documents"],
  (draw) => {
    const places = [draw.int(0, 100), draw.int(100, 300), draw.int(300, 600)];
    return [({ q, k }) => places.includes(q) || places.includes(k), `q or k in [${places}]`];
  },
  (draw) => {
    const step = draw.int(2, 5);
    return [({ b, q, k }) => (q + k + b) % step !== 0, `(q + k + b) % ${step}`];
  },
  (draw) => {
    const n = draw.int(16, 76);
    return [({ q, k }) => (Math.floor(q / n) * 7 + Math.floor(k / n) * 3) % 5 < 2, `scattered blocks of ${n}`];
  },
  (draw) => {
    const reach = draw.int(10, 50);
    return [({ q, k }) => Math.abs(Math.min(Math.max(q, reach), 200) - k) <= reach, `clamped, within ${reach}`];
  },
  (draw) => {
    const reach = draw.int(20, 80);
    return [({ q, k }) => Math.abs(k - 2 * q) < reach, `|k - 2 q| < ${reach}`];
  },
];

export function randomMask(draw: Draw, depth: number): Drawn<MaskFunction> {
  if (depth === 0 || draw.chance(0.3)) return draw.pick(atoms)(draw);
  const [x, left] = randomMask(draw, depth - 1);
  const kind = draw.pick(["not", "and", "or", "or"]);
  if (kind === "not") return [(at) => !x(at), `!(${left})`];
  const [y, right] = randomMask(draw, depth - 1);
  return kind === "and"
    ? [(at) => x(at) && y(at), `(${left} && ${right})`]
    : [(at) => x(at) || y(at), `(${left} || ${right})`];
}

export function randomScore(draw: Draw): Drawn<ScoreFunction> {
  const table = [0, 1].map(() => Array.from({ length: 65 }, () => draw.next() - 0.5));
  return draw.pick<Drawn<ScoreFunction>>([
    [(s) => s, "s"],
    [(s, { h, q, k }) => s + (k - q) * 2 ** -(h + 1), "s + (k - q) / 2^(h + 1)"],
    [(s) => 3 * Math.tanh(s / 3), "3 tanh(s / 3)"],
    [(s, { h, q, k }) => s + table[h % 2]![Math.min(Math.max(q - k, -32), 32) + 32]!, "s + table[h][q - k]"],
    [
      (s, { q, k }) => (q === k ? -Infinity : 1.5 * s - Math.log(1 + Math.abs(q - k))),
      "1.5 s - ln(1 + |q - k|), q ≠ k",
    ],
    [(s, { b, q }) => s * Math.log(q + 2) - b, "s ln(q + 2) - b"],
  ]);
}
