import { networkCost } from "./contraction-cost.ts";
import { exactOrder } from "./contraction-exact.ts";
import { type Network, productOf, type Step, wordProduct } from "./contraction-network.ts";

/**
 * A good order where there are too many operands to try all: the best of greedy merging under several scores (the first
 * rounds plain, the rest with noise of a fixed seed), of the best order that keeps operands as written (interval dynamic
 * programming, exact for chains), and of re-optimising subtrees exactly. Never costlier than left to right.
 */
export function heuristicOrder(network: Network): readonly Step[] {
  const asWritten = Array.from(
    { length: network.count - 1 },
    (_, i): Step => [i === 0 ? 0 : network.count + i - 1, i + 1],
  );
  const candidates: (readonly Step[])[] = [asWritten];
  if (network.count <= intervalLimit) candidates.push(intervalOrder(network));
  const random = xorshift(0x9e3779b9);
  const restarts = Math.max(1, Math.min(24, Math.floor(20_000 / network.count ** 2)));
  for (const score of scores) {
    candidates.push(greedyOrder(network, score, () => 0));
    for (let i = 0; i < restarts; i++) candidates.push(greedyOrder(network, score, random));
  }
  const ranked = candidates
    .map((steps) => ({ steps, cost: networkCost(network, steps).cost }))
    .sort((a, b) => a.cost - b.cost)
    .slice(0, 3)
    .map(({ steps }) => improve(network, steps));
  return ranked.reduce((best, next) => (next.cost < best.cost ? next : best)).steps;
}

const intervalLimit = 160;

/** What merging two tensors into one is worth; the least is merged first. */
type Score = (result: number, left: number, right: number, space: number) => number;

const scores: readonly Score[] = [
  (result, left, right) => result - left - right,
  (result, left, right) => result / (left + right),
  (_result, _left, _right, space) => space,
  (result, left, right, space) => space / Math.max(left, right, result),
];

/** Numbers in [0, 1) from a seed: the same on every machine. */
function xorshift(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

interface Live {
  readonly id: number;
  readonly mask: Uint32Array;
  readonly size: number;
}

/** The tensors that are left of a network, and how many of them have each label. */
class Remaining {
  readonly live = new Map<number, Live>();
  readonly #network: Network;
  readonly #uses: Int32Array;

  constructor(network: Network) {
    const { count, words, products, masks } = network;
    this.#network = network;
    this.#uses = new Int32Array(words * 32);
    for (let id = 0; id < count; id++) {
      const mask = masks.slice(id * words, (id + 1) * words);
      this.put({ id, mask, size: productOf(products, mask, 0, words) });
    }
  }

  put(tensor: Live): void {
    this.live.set(tensor.id, tensor);
    this.#count(tensor.mask, 1);
  }

  take(id: number): Live {
    const tensor = this.live.get(id)!;
    this.live.delete(id);
    this.#count(tensor.mask, -1);
    return tensor;
  }

  /** What two of them make: labels that neither the result nor a third one has are summed over. */
  merged(a: Live, b: Live): { readonly mask: Uint32Array; readonly space: number; readonly size: number } {
    const { words, products, result } = this.#network;
    const mask = new Uint32Array(words);
    let space = 1;
    for (let word = 0; word < words; word++) {
      const both = a.mask[word]! | b.mask[word]!;
      space *= wordProduct(products, word, both);
      let gone = 0;
      for (let bits = (both & ~result[word]!) >>> 0; bits !== 0; bits = (bits & (bits - 1)) >>> 0) {
        const flag = (bits & -bits) >>> 0;
        const owners = ((a.mask[word]! & flag) !== 0 ? 1 : 0) + ((b.mask[word]! & flag) !== 0 ? 1 : 0);
        if (this.#uses[word * 32 + 31 - Math.clz32(flag)] === owners) gone |= flag;
      }
      mask[word] = both & ~gone;
    }
    return { mask, space, size: productOf(products, mask, 0, words) };
  }

  #count(mask: Uint32Array, by: 1 | -1): void {
    for (const [word, flags] of mask.entries())
      for (let bits = flags; bits !== 0; bits &= bits - 1) this.#uses[word * 32 + 31 - Math.clz32(bits & -bits)]! += by;
  }
}

const shareLabels = (a: Live, b: Live): boolean => a.mask.some((bits, word) => (bits & b.mask[word]!) !== 0);

function greedyOrder(network: Network, score: Score, random: () => number): readonly Step[] {
  const remaining = new Remaining(network);
  const { live } = remaining;
  const queue = new Heap();
  const consider = (a: Live, b: Live) => {
    if (!shareLabels(a, b)) return;
    const { size, space } = remaining.merged(a, b);
    const noise = random();
    const value = score(size, a.size, b.size, space);
    queue.push(noise === 0 ? value : value + Math.abs(value) * 0.5 * noise * noise, a.id, b.id);
  };
  const all = [...live.values()];
  for (const [i, a] of all.entries()) for (const b of all.slice(i + 1)) consider(a, b);
  const steps: Step[] = [];
  while (live.size > 1) {
    const [left, right] = queue.pop((a, b) => live.has(a) && live.has(b)) ?? smallestTwo(live);
    const { mask, size } = remaining.merged(live.get(left)!, live.get(right)!);
    remaining.take(left);
    remaining.take(right);
    const next: Live = { id: network.count + steps.length, mask, size };
    remaining.put(next);
    for (const other of live.values()) if (other !== next) consider(other, next);
    steps.push([left, right]);
  }
  return steps;
}

/** Nothing shares a label any more: what is left is multiplied out, small ones first. */
function smallestTwo(live: ReadonlyMap<number, Live>): Step {
  const [a, b] = [...live.values()].sort((x, y) => x.size - y.size || x.id - y.id);
  return [Math.min(a!.id, b!.id), Math.max(a!.id, b!.id)];
}

/** Pairs by score, least first; pairs whose sides are gone are skipped. Ties: the pair put in first. */
class Heap {
  readonly #items: { score: number; at: number; left: number; right: number }[] = [];
  #next = 0;

  push(score: number, left: number, right: number): void {
    const items = this.#items;
    items.push({ score, at: this.#next++, left, right });
    for (let i = items.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (!this.#before(i, parent)) break;
      this.#swap(i, parent);
      i = parent;
    }
  }

  pop(valid: (left: number, right: number) => boolean): Step | undefined {
    for (let top = this.#take(); top; top = this.#take()) if (valid(top.left, top.right)) return [top.left, top.right];
    return undefined;
  }

  #take() {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (!top || items.length === 0) return top;
    items[0] = last!;
    for (let i = 0; ; ) {
      let least = i;
      if (2 * i + 1 < items.length && this.#before(2 * i + 1, least)) least = 2 * i + 1;
      if (2 * i + 2 < items.length && this.#before(2 * i + 2, least)) least = 2 * i + 2;
      if (least === i) return top;
      this.#swap(i, least);
      i = least;
    }
  }

  #before(i: number, j: number): boolean {
    const a = this.#items[i]!;
    const b = this.#items[j]!;
    return a.score < b.score || (a.score === b.score && a.at < b.at);
  }

  #swap(i: number, j: number): void {
    const items = this.#items;
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
}

/** The cheapest order that only ever joins neighbours: O(n³), exact where operands form a chain. */
function intervalOrder(network: Network): readonly Step[] {
  const { count, words, products, masks, result, sumFactor } = network;
  const kept: Uint32Array[] = [];
  const size = new Float64Array(count * count);
  const suffix = unions(network, true);
  const prefix = unions(network, false);
  for (let from = 0; from < count; from++) {
    const union = new Uint32Array(words);
    for (let to = from; to < count; to++) {
      const mask = new Uint32Array(words);
      for (let word = 0; word < words; word++) {
        union[word]! |= masks[to * words + word]!;
        mask[word] = union[word]! & (result[word]! | prefix[from]![word]! | suffix[to + 1]![word]!);
      }
      kept[from * count + to] = mask;
      size[from * count + to] = productOf(products, mask, 0, words);
    }
  }
  const cost = new Float64Array(count * count);
  const split = new Int32Array(count * count);
  for (let length = 2; length <= count; length++)
    for (let from = 0; from + length <= count; from++) {
      const to = from + length - 1;
      let best = Number.POSITIVE_INFINITY;
      for (let cut = to - 1; cut >= from; cut--) {
        const left = from * count + cut;
        const right = (cut + 1) * count + to;
        const below = cost[left]! + cost[right]!;
        if (below >= best) continue;
        let space = 1;
        for (let word = 0; word < words; word++)
          space *= wordProduct(products, word, kept[left]![word]! | kept[right]![word]!);
        const total = below + (space > size[from * count + to]! ? sumFactor * space : space);
        if (total >= best) continue;
        best = total;
        split[from * count + to] = cut;
      }
      cost[from * count + to] = best;
    }
  return intervalSteps(split, count);
}

/** Labels of the operands before `i` (entry i), or from `i` on. */
function unions({ count, words, masks }: Network, fromEnd: boolean): readonly Uint32Array[] {
  const list = Array.from({ length: count + 1 }, () => new Uint32Array(words));
  for (let k = 0; k < count; k++) {
    const operand = fromEnd ? count - 1 - k : k;
    const source = list[fromEnd ? operand + 1 : operand]!;
    const target = list[fromEnd ? operand : operand + 1]!;
    for (let word = 0; word < words; word++) target[word] = source[word]! | masks[operand * words + word]!;
  }
  return list;
}

function intervalSteps(split: Int32Array, count: number): readonly Step[] {
  const steps: Step[] = [];
  const done: number[] = [];
  const stack = [{ from: 0, to: count - 1, ready: false }];
  while (stack.length > 0) {
    const { from, to, ready } = stack.pop()!;
    if (from === to) done.push(from);
    else if (ready) {
      const right = done.pop()!;
      steps.push([done.pop()!, right]);
      done.push(count + steps.length - 1);
    } else {
      const cut = split[from * count + to]!;
      stack.push({ from, to, ready: true }, { from: cut + 1, to, ready: false }, { from, to: cut, ready: false });
    }
  }
  return steps;
}

const subtreeLeaves = 8;
const improvementRounds = 4;

/** Re-orders subtrees of up to `subtreeLeaves` parts exactly, until nothing improves. */
function improve(network: Network, start: readonly Step[]): { readonly steps: readonly Step[]; readonly cost: number } {
  let best = { steps: start, cost: networkCost(network, start).cost };
  for (let round = 0; round < improvementRounds; round++) {
    const before = best.cost;
    for (let root = network.count; root < network.count + network.count - 1; root++) {
      const steps = reorderSubtree(network, best.steps, root);
      if (steps === undefined) continue;
      const { cost } = networkCost(network, steps);
      if (cost < best.cost) best = { steps, cost };
    }
    if (best.cost === before) break;
  }
  return best;
}

function reorderSubtree(network: Network, steps: readonly Step[], root: number): readonly Step[] | undefined {
  const { count } = network;
  const leaves = [root];
  // Opens the latest-made part first, as the one with the most below it.
  while (leaves.length < subtreeLeaves) {
    const at = leaves.reduce((best, id, i) => (id >= count && id > (leaves[best] ?? -1) ? i : best), 0);
    if (leaves[at]! < count) break;
    leaves.splice(at, 1, ...steps[leaves[at]! - count]!);
  }
  if (leaves.length < 3) return undefined;
  const inner = exactOrder(subNetwork(network, steps, leaves));
  return replaceSubtree(count, steps, root, leaves, inner);
}

/** The contraction of `leaves` alone: its result keeps what the rest of the network needs. */
function subNetwork(network: Network, steps: readonly Step[], leaves: readonly number[]): Network {
  const { count, words } = network;
  const members = leaves.map((leaf) => operandsBelow(count, steps, leaf));
  const inside = new Set(members.flat());
  const result = network.result.slice();
  for (let i = 0; i < count; i++)
    if (!inside.has(i)) for (let word = 0; word < words; word++) result[word]! |= network.masks[i * words + word]!;
  const masks = new Uint32Array(leaves.length * words);
  members.forEach((own, leaf) => {
    const mine = new Set(own);
    const outer = result.slice();
    for (const i of inside)
      if (!mine.has(i)) for (let word = 0; word < words; word++) outer[word]! |= network.masks[i * words + word]!;
    for (const i of own)
      for (let word = 0; word < words; word++)
        masks[leaf * words + word]! |= network.masks[i * words + word]! & outer[word]!;
  });
  return {
    ...network,
    count: leaves.length,
    masks,
    result,
    foldable: Uint8Array.from(members, (own) => (own.every((i) => network.foldable[i] === 1) ? 1 : 0)),
    freed: Float64Array.from(members, (own) => own.reduce((sum, i) => sum + network.freed[i]!, 0)),
    reductions: 0,
  };
}

function operandsBelow(count: number, steps: readonly Step[], root: number): readonly number[] {
  const found: number[] = [];
  const stack = [root];
  for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
    if (id < count) found.push(id);
    else stack.push(...steps[id - count]!);
  }
  return found;
}

/** `steps` with the part between `leaves` and `root` done by `inner` instead; renumbered in order. */
function replaceSubtree(
  count: number,
  steps: readonly Step[],
  root: number,
  leaves: readonly number[],
  inner: readonly Step[],
): readonly Step[] {
  const children = new Map<number, Step>(steps.map((step, i) => [count + i, step]));
  const offset = 2 * count;
  const name = (id: number) => (id < leaves.length ? leaves[id]! : id === 2 * leaves.length - 2 ? root : offset + id);
  inner.forEach(([left, right], i) => children.set(name(leaves.length + i), [name(left), name(right)]));
  const renamed = new Map<number, number>();
  const result: Step[] = [];
  const stack = [{ id: 2 * count - 2, ready: false }];
  while (stack.length > 0) {
    const { id, ready } = stack.pop()!;
    if (id < count) renamed.set(id, id);
    else if (ready) {
      const [left, right] = children.get(id)!;
      result.push([renamed.get(left)!, renamed.get(right)!]);
      renamed.set(id, count + result.length - 1);
    } else {
      const [left, right] = children.get(id)!;
      stack.push({ id, ready: true }, { id: right, ready: false }, { id: left, ready: false });
    }
  }
  return result;
}
