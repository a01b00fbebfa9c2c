import { type Dim, divideExact, product } from "../ir/dim.ts";

/** An axis that no reshape of a region cuts any further. */
export type Atom = number;

/** An axis as the atoms it is made of, outermost first; an axis of size 1 is made of none. */
export type Axis = readonly Atom[];

/**
 * The atoms of one region. Reshapes are read as relabelling: an axis is a product of atoms, and an atom is split in two
 * where a reshape cuts through it, everywhere at once.
 */
export class Atoms {
  readonly #dims: Dim[] = [];
  readonly #names: string[] = [];
  readonly #splits = new Map<Atom, readonly [Atom, Atom]>();

  /** A new axis; none at all where the dimension is 1. */
  axis(dim: Dim, name: string): Axis {
    return dim === 1 ? [] : [this.#make(dim, name)];
  }

  dimOf(atom: Atom): Dim {
    return this.#dims[atom]!;
  }

  nameOf(atom: Atom): string {
    return this.#names[atom]!;
  }

  sizeOf(axis: Axis): Dim {
    return product(this.resolve(axis).map((atom) => this.dimOf(atom)));
  }

  /** The axis in atoms as they are split by now. */
  resolve(axis: Axis): Axis {
    if (!axis.some((atom) => this.#splits.has(atom))) return axis;
    return axis.flatMap((atom) => {
      const halves = this.#splits.get(atom);
      return halves ? this.resolve(halves) : [atom];
    });
  }

  /** Every atom that is not split. */
  all(): readonly Atom[] {
    return this.#dims.map((_, atom) => atom).filter((atom) => !this.#splits.has(atom));
  }

  /** Cuts a row of axes into axes of the given sizes, splitting atoms where need be. Undefined where sizes do not line up. */
  cut(axes: readonly Axis[], shape: readonly Dim[]): readonly Axis[] | undefined {
    const rest = [...this.resolve(axes.flat())];
    const cut: Axis[] = [];
    for (const dim of shape) {
      const taken = this.#take(rest, dim);
      if (!taken) return undefined;
      cut.push(taken);
    }
    return rest.length === 0 ? cut : undefined;
  }

  #take(rest: Atom[], dim: Dim): Axis | undefined {
    const taken: Atom[] = [];
    let open = dim;
    while (open !== 1) {
      const atom = rest.shift();
      if (atom === undefined) return undefined;
      const size = this.dimOf(atom);
      const after = divideExact(open, size);
      if (after !== undefined) {
        taken.push(atom);
        open = after;
        continue;
      }
      const inner = divideExact(size, open);
      if (inner === undefined) return undefined;
      const name = this.nameOf(atom);
      const halves = [this.#make(open, name), this.#make(inner, name)] as const;
      this.#splits.set(atom, halves);
      taken.push(halves[0]);
      rest.unshift(halves[1]);
      open = 1;
    }
    return taken;
  }

  #make(dim: Dim, name: string): Atom {
    this.#dims.push(dim);
    this.#names.push(name);
    return this.#dims.length - 1;
  }
}

/** Atoms that are side by side in every axis they occur in, as the first of each run, with the run. */
export function runsOf(axes: Iterable<Axis>): ReadonlyMap<Atom, Axis> {
  const next = new Map<Atom, Atom | undefined>();
  const previous = new Map<Atom, Atom | undefined>();
  const note = (map: Map<Atom, Atom | undefined>, atom: Atom, neighbour: Atom | undefined) =>
    map.set(atom, map.has(atom) && map.get(atom) !== neighbour ? undefined : neighbour);
  for (const axis of axes)
    axis.forEach((atom, i) => {
      note(next, atom, axis[i + 1]);
      note(previous, atom, axis[i - 1]);
    });
  const follows = (atom: Atom) => {
    const after = next.get(atom);
    return after !== undefined && previous.get(after) === atom ? after : undefined;
  };
  const runs = new Map<Atom, Axis>();
  for (const atom of next.keys()) {
    const before = previous.get(atom);
    if (before !== undefined && follows(before) === atom) continue;
    const run = [atom];
    for (let after = follows(atom); after !== undefined; after = follows(after)) run.push(after);
    runs.set(atom, run);
  }
  return runs;
}

/** The axis in runs; undefined where it has only a part of one. */
export function inRuns(axis: Axis, runs: ReadonlyMap<Atom, Axis>): Axis | undefined {
  const heads: Atom[] = [];
  for (let i = 0; i < axis.length; ) {
    const run = runs.get(axis[i]!);
    if (!run?.every((atom, k) => axis[i + k] === atom)) return undefined;
    heads.push(axis[i]!);
    i += run.length;
  }
  return heads;
}
