// Names of weights are dotted paths: `encoder.layer.0.attention.self.query.weight`. Distances count whole segments, so
// that a renamed segment is one step however long it is, and layer 1 is as far from layer 10 as from layer 2.

/** Of longer paths only the last so many segments count. */
export const maxSegments = 64;
const maxSegmentLength = 128;
// Comparisons one report may spend on finding nearest names.
const comparisonBudget = 100_000;

const isNumber = /^\d+$/;

/** Least total cost of turning sequence `a` into `b`, insertions and deletions costing 1. */
function editDistance(lengthA: number, lengthB: number, substitute: (i: number, j: number) => number): number {
  let previous = Array.from({ length: lengthB + 1 }, (_, j) => j);
  for (let i = 1; i <= lengthA; i++) {
    const row = [i];
    for (let j = 1; j <= lengthB; j++)
      row.push(Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + substitute(i - 1, j - 1)));
    previous = row;
  }
  return previous[lengthB]!;
}

/** 0 for equal segments, up to 1 for ones that share nothing; two different numbers share nothing. */
function segmentDistance(a: string, b: string): number {
  if (a === b) return 0;
  if (isNumber.test(a) || isNumber.test(b)) return 1;
  const changes = editDistance(a.length, b.length, (i, j) => (a[i] === b[j] ? 0 : 1));
  return changes / Math.max(a.length, b.length);
}

const segmentsOf = (name: string): readonly string[] =>
  name
    .split(".")
    .slice(-maxSegments)
    .map((segment) => segment.slice(0, maxSegmentLength));

/** Distance of two dotted names, in segments. Segment distances are remembered across calls of the same function. */
function distances(): (a: readonly string[], b: readonly string[]) => number {
  const known = new Map<string, number>();
  const between = (a: string, b: string): number => {
    // A segment holds no dot, so the pair is unambiguous.
    const key = `${a}.${b}`;
    const distance = known.get(key) ?? segmentDistance(a, b);
    known.set(key, distance);
    return distance;
  };
  return (a, b) => editDistance(a.length, b.length, (i, j) => between(a[i]!, b[j]!));
}

/** For each wanted name the nearest candidate, where one is near enough to be worth naming. */
export function nearestNames(wanted: readonly string[], candidates: readonly string[]): ReadonlyMap<string, string> {
  const distance = distances();
  const split = candidates.map((name) => [name, segmentsOf(name)] as const);
  const nearest = new Map<string, string>();
  let budget = comparisonBudget;
  for (const name of wanted) {
    if (budget <= 0) break;
    const segments = segmentsOf(name);
    // Half of the path may differ.
    let best = Math.max(segments.length / 2, 0.5);
    for (const [candidate, other] of split) {
      if (budget-- <= 0) break;
      if (Math.abs(other.length - segments.length) > best) continue;
      const found = distance(segments, other);
      if (found > best || (found === best && nearest.has(name))) continue;
      best = found;
      nearest.set(name, candidate);
    }
  }
  return nearest;
}

/** The nearest of `candidates` to `name`; undefined where none is near. */
export const nearestName = (name: string, candidates: readonly string[]): string | undefined =>
  nearestNames([name], candidates).get(name);

/** Advice on a name there is not: the name that was meant, where one is near, and else all there are. */
export function nearestOf(name: string, names: readonly string[]): string {
  const near = nearestName(name, names);
  return near === undefined ? `there are ${names.join(", ")}` : `did you mean ${near}?`;
}
