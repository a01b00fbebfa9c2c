/** Uniform numbers from 0 up to 1, the same for a seed (Marsaglia's xorshift). */
function uniform(seed: number): () => number {
  let state = (Math.imul(seed, 2654435761) ^ 0x9e3779b9) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

/** Normal numbers (Box and Muller). */
function normal(seed: number): () => number {
  const next = uniform(seed);
  return () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
}

const dot = (x: readonly number[], y: readonly number[]) => x.reduce((total, value, i) => total + value * y[i]!, 0);

/**
 * `count` directions of width `d`, orthogonal within each block of d (Gram and Schmidt), as long as normal vectors are: what
 * FAVOR+ projects on.
 */
export function orthogonalRows(count: number, d: number, seed: number): readonly (readonly number[])[] {
  const next = normal(seed);
  const draw = () => Array.from({ length: d }, next);
  const rows: number[][] = [];
  for (let i = 0; i < count; i++) {
    const block = rows.slice(i - (i % d));
    let row = draw();
    for (const other of block) {
      const share = dot(row, other) / dot(other, other);
      row = row.map((value, j) => value - share * other[j]!);
    }
    const length = Math.sqrt(dot(row, row));
    rows.push(row.map((value) => value / length));
  }
  return rows.map((row) => {
    const fresh = draw();
    const length = Math.sqrt(dot(fresh, fresh));
    return row.map((value) => value * length);
  });
}
