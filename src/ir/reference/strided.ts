/** Axes and, for each tensor walked over together, its strides. */
export interface Walk {
  readonly dims: readonly number[];
  readonly strides: readonly (readonly number[])[];
}

/** Leaves out axes of size 1 and merges neighbours that every tensor steps through evenly, so that rows get long. */
export function collapse({ dims, strides }: Walk): Walk {
  const kept: number[] = [];
  const merged: number[][] = strides.map(() => []);
  dims.forEach((dim, axis) => {
    if (dim === 1) return;
    const last = kept.length - 1;
    const even = last >= 0 && strides.every((steps, t) => merged[t]![last] === steps[axis]! * dim);
    if (even) kept[last]! *= dim;
    else kept.push(dim);
    strides.forEach((steps, t) => {
      merged[t]![even ? last : last + 1] = steps[axis]!;
    });
  });
  return { dims: kept, strides: merged };
}

/**
 * Calls `row` for each run along the last axis, in row-major order, with where each tensor's run starts. `at` is one
 * array, changed between calls. `length` and `steps` of the runs are those of the last axis, 1 and 0 for a scalar.
 */
export function forEachRow({ dims, strides }: Walk, row: (at: readonly number[]) => void): void {
  const outer = dims.slice(0, -1);
  const rows = outer.reduce((count, dim) => count * dim, dims.at(-1) === 0 ? 0 : 1);
  const index = new Array<number>(outer.length).fill(0);
  const at = new Array<number>(strides.length).fill(0);
  for (let r = 0; r < rows; r++) {
    row(at);
    for (let axis = outer.length - 1; axis >= 0; axis--) {
      for (let t = 0; t < at.length; t++) at[t]! += strides[t]![axis]!;
      if (++index[axis]! < outer[axis]!) break;
      for (let t = 0; t < at.length; t++) at[t]! -= strides[t]![axis]! * outer[axis]!;
      index[axis] = 0;
    }
  }
}

/** Length of the runs `forEachRow` visits. */
export const rowLength = ({ dims }: Walk): number => dims.at(-1) ?? 1;
/** Step of each tensor along a run. */
export const rowSteps = ({ strides }: Walk): readonly number[] => strides.map((steps) => steps.at(-1) ?? 0);
