import { type Dim, evaluate, show, symbolsOf } from "../../ir/dim.ts";

/** One operand of a contraction of two: its labels, each once, and whether moving its axes costs nothing at run time. */
export interface PlanOperand {
  readonly labels: readonly string[];
  /** True for weights and constants: they are moved when the model is exported. */
  readonly foldable: boolean;
}

export interface PlanRequest {
  readonly left: PlanOperand;
  readonly right: PlanOperand;
  /** Labels of the result in order; left out where any order will do. */
  readonly result: readonly string[] | undefined;
  /** All labels the result has. */
  readonly kept: readonly string[];
  readonly size: (label: string) => Dim;
  /** Products that read their operands transposed: `gemm` for matrices only, `fused` for batches too. */
  readonly gemm: boolean;
  readonly fused: boolean;
}

/** How an operand is brought into place: reordered to `order`, then each group of labels merged into one axis. */
export interface OperandPlan {
  readonly order: readonly string[];
  /** One axis each; an empty group is an axis of size 1. */
  readonly groups: readonly (readonly string[])[];
}

export interface PairPlan {
  readonly kind: "multiply" | "matmul" | "gemm" | "fused";
  /** The right operand of the request is the first factor of the product. */
  readonly swapped: boolean;
  /** First and second factor, after `swapped`. */
  readonly first: OperandPlan;
  readonly second: OperandPlan;
  readonly transFirst: boolean;
  readonly transSecond: boolean;
  /** Axes of the product as it comes out. */
  readonly groups: readonly (readonly string[])[];
  /** Order of the result's labels after the groups are split; a transposition follows where the result differs. */
  readonly order: readonly string[];
  /** Transpositions of whole tensors at run time. */
  readonly transposes: number;
  readonly cost: number;
}

type Labels = readonly string[];

/** What one transposition, reshape or missed matrix product costs; only the order of magnitude matters. */
const weights = {
  transpose: 100,
  /** Added by the size of what is transposed, relative to the largest tensor of the product. */
  transposeSize: 10,
  /** Added where elements move one by one: what keeps its last axis moves in blocks. */
  scattered: 5,
  reshape: 1,
  symbolicReshape: 3,
  /** A product of vectors, or nearly, in a loop where a product of matrices would do. */
  vectorLoop: 250,
  /** Matrix products in a loop over a label that only one side has. */
  matrixLoop: 2,
  transposedProduct: 0.5,
  /** The second factor is brought into another order in memory at each run, unless it is one constant matrix. */
  largeSecond: 0.25,
} as const;

/** Products of matrices with fewer rows, in a loop over more, are little better than ones of vectors. */
const fewRows = 8;

/** What a symbol counts as where sizes are compared. */
const nominalSize = 64;

const same = (a: Labels, b: Labels) => a.length === b.length && a.every((label, i) => label === b[i]);
const within = (labels: Labels, set: ReadonlySet<string>) => labels.filter((label) => set.has(label));

/** Text that is equal where two requests have the same plan. */
const requestKey = ({ left, right, result, kept, size, gemm, fused }: PlanRequest): string =>
  [
    `${left.labels.map((label) => `${label}:${show(size(label))}`).join(" ")}${left.foldable ? "!" : ""}`,
    `${right.labels.map((label) => `${label}:${show(size(label))}`).join(" ")}${right.foldable ? "!" : ""}`,
    result ? result.join(" ") : `any ${kept.join(" ")}`,
    `${gemm ? "gemm" : ""}${fused ? "fused" : ""}`,
  ].join(",");

/** `planPair`, remembering plans in `known`: models repeat their layers. */
export function planPairOnce(request: PlanRequest, known: Map<string, PairPlan>): PairPlan {
  const key = requestKey(request);
  let plan = known.get(key);
  if (!plan) known.set(key, (plan = planPair(request)));
  return plan;
}

/** The cheapest way to contract two operands whose labels are distinct and all needed by the result or the other side. */
function planPair(request: PlanRequest): PairPlan {
  const planner = new PairPlanner(request);
  const inner = request.left.labels.some(
    (label) => request.right.labels.includes(label) && !request.kept.includes(label),
  );
  return inner ? planner.product() : planner.multiply();
}

class PairPlanner {
  readonly #request: PlanRequest;
  readonly #left: ReadonlySet<string>;
  readonly #right: ReadonlySet<string>;
  readonly #kept: ReadonlySet<string>;
  readonly #nominals = new Map<string, number>();
  #largest: number | undefined;
  #best: PairPlan | undefined;

  constructor(request: PlanRequest) {
    this.#request = request;
    this.#left = new Set(request.left.labels);
    this.#right = new Set(request.right.labels);
    this.#kept = new Set(request.kept);
  }

  multiply(): PairPlan {
    const { left, right } = this.#request;
    const rest = (from: Labels, without: ReadonlySet<string>) => from.filter((label) => !without.has(label));
    const orders = [
      ...(this.#request.result ? [this.#request.result] : []),
      [...left.labels, ...rest(right.labels, this.#left)],
      [...right.labels, ...rest(left.labels, this.#right)],
      [...rest(right.labels, this.#left), ...left.labels],
      [...rest(left.labels, this.#right), ...right.labels],
    ];
    for (const order of orders) {
      const first = spread(order, this.#left);
      const second = spread(order, this.#right);
      const groups = order.map((label) => [label]);
      this.#consider({ kind: "multiply", swapped: false, first, second, groups, order }, false, false);
    }
    return this.#best!;
  }

  product(): PairPlan {
    for (const order of this.#outputOrders()) for (const swapped of [false, true]) this.#partitions(order, swapped);
    return this.#best!;
  }

  /** Orders of the result worth trying: the one asked for, and those the operands fall into by themselves. */
  #outputOrders(): readonly Labels[] {
    const { left, right, result } = this.#request;
    const ofLeft = within(left.labels, this.#kept);
    const ofRight = within(right.labels, this.#kept);
    const rows = ofLeft.filter((label) => !this.#right.has(label));
    const columns = ofRight.filter((label) => !this.#left.has(label));
    const batches = [ofLeft.filter((l) => this.#right.has(l)), ofRight.filter((l) => this.#left.has(l))];
    const orders: Labels[] = result ? [result] : [];
    for (const batch of batches) {
      orders.push([...batch, ...rows, ...columns], [...batch, ...columns, ...rows]);
      // Labels of one side alone may be a batch to the other.
      orders.push([...batch, ...columns.slice(0, -1), ...rows, ...columns.slice(-1)]);
    }
    orders.push([...ofLeft, ...columns], [...ofRight, ...rows]);
    return orders.filter((order, i) => orders.findIndex((other) => same(order, other)) === i);
  }

  /** Every way to read `order` as batch axes, rows of the first factor and columns of the second. */
  #partitions(order: Labels, swapped: boolean): void {
    const firstSet = swapped ? this.#right : this.#left;
    const secondSet = swapped ? this.#left : this.#right;
    const onlySecond = (label: string) => !firstSet.has(label);
    const onlyFirst = (label: string) => !secondSet.has(label);
    for (let columns = 0; columns <= order.length; columns++) {
      const start = order.length - columns;
      if (columns > 0 && !onlySecond(order[start]!)) break;
      for (let rows = 0; rows <= start; rows++) {
        if (rows > 0 && !onlyFirst(order[start - rows]!)) break;
        this.#split(order, swapped, start - rows, start);
      }
    }
  }

  #split(order: Labels, swapped: boolean, rowsAt: number, columnsAt: number): void {
    const { left, right } = this.#request;
    const [a, b] = swapped ? [right, left] : [left, right];
    const prefix = order.slice(0, rowsAt);
    const rows = order.slice(rowsAt, columnsAt);
    const columns = order.slice(columnsAt);
    const innerOf = (from: Labels, other: Labels) => from.filter((l) => other.includes(l) && !this.#kept.has(l));
    const inners = [innerOf(a.labels, b.labels), innerOf(b.labels, a.labels)];
    for (const inner of same(inners[0]!, inners[1]!) ? [inners[0]!] : inners)
      for (const transFirst of [false, true])
        for (const transSecond of [false, true])
          this.#candidate({ order, swapped, prefix, rows, columns, inner }, transFirst, transSecond);
  }

  #candidate(parts: Parts, transFirst: boolean, transSecond: boolean): void {
    const { order, swapped, prefix, rows, columns, inner } = parts;
    const { left, right, gemm, fused } = this.#request;
    const [a, b] = swapped ? [right, left] : [left, right];
    const prefixOf = (labels: Labels) => prefix.map((label) => (labels.includes(label) ? [label] : []));
    const leftVector = a.labels.length === inner.length && inner.length === 1 && !transFirst;
    const rightVector = b.labels.length === inner.length && inner.length === 1 && !transSecond;
    const matrixA = transFirst ? [inner, rows] : [rows, inner];
    const matrixB = transSecond ? [columns, inner] : [inner, columns];
    const first = operandPlan(leftVector ? [inner] : [...prefixOf(a.labels), ...matrixA]);
    const second = operandPlan(rightVector ? [inner] : [...prefixOf(b.labels), ...matrixB]);
    const groups = [...prefix.map((l) => [l]), ...(leftVector ? [] : [rows]), ...(rightVector ? [] : [columns])];
    const plain = !transFirst && !transSecond;
    const vectors = leftVector || rightVector;
    const shape = { swapped, first, second, groups, order };
    if (plain) this.#consider({ kind: "matmul", ...shape }, false, false, parts);
    else if (fused && !vectors) this.#consider({ kind: "fused", ...shape }, transFirst, transSecond, parts);
    else if (gemm && !vectors && prefix.length === 0)
      this.#consider({ kind: "gemm", ...shape }, transFirst, transSecond, parts);
  }

  #consider(shape: Shape, transFirst: boolean, transSecond: boolean, parts?: Parts): void {
    const { left, right, result } = this.#request;
    const [a, b] = shape.swapped ? [right, left] : [left, right];
    let transposes = 0;
    let cost = transFirst || transSecond ? weights.transposedProduct : 0;
    for (const [operand, plan] of [[a, shape.first] as const, [b, shape.second] as const]) {
      if (operand.foldable) continue;
      if (!same(operand.labels, plan.order)) {
        transposes++;
        cost += this.#transposeCost(operand.labels, plan.order);
      }
      cost += this.#reshapeCost(plan.groups);
    }
    if (result && !same(shape.order, result)) {
      transposes++;
      cost += this.#transposeCost(shape.order, result);
    }
    cost += this.#reshapeCost(shape.groups);
    if (parts) cost += this.#loopCost(parts);
    if (this.#best && this.#best.cost <= cost) return;
    this.#best = { ...shape, transFirst, transSecond, transposes, cost };
  }

  #transposeCost(from: Labels, to: Labels): number {
    const moved = from.at(-1) === to.at(-1) ? 0 : weights.scattered;
    return weights.transpose + weights.transposeSize * this.#relativeSize(from) + moved;
  }

  /** Size of what is transposed, as a part of the largest tensor of the product. */
  #relativeSize(labels: Labels): number {
    this.#largest ??= Math.max(
      1,
      ...[this.#request.left.labels, this.#request.right.labels, this.#request.kept].map((each) => this.#volume(each)),
    );
    return this.#volume(labels) / this.#largest;
  }

  #volume(labels: Labels): number {
    let volume = 1;
    for (const label of labels) volume *= this.#nominal(label);
    return volume;
  }

  #nominal(label: string): number {
    let size = this.#nominals.get(label);
    if (size === undefined) {
      const dim = this.#request.size(label);
      size = evaluate(dim, new Map(symbolsOf(dim).map((name) => [name, nominalSize])));
      this.#nominals.set(label, size);
    }
    return size;
  }

  #reshapeCost(groups: readonly Labels[]): number {
    if (groups.every((group) => group.length === 1)) return 0;
    const symbolic = groups.flat().filter((label) => typeof this.#request.size(label) !== "number");
    return symbolic.length > 1 ? weights.symbolicReshape : weights.reshape;
  }

  /** Labels of one side among the batch axes make the product a loop; a second factor without batch axes avoids it. */
  #loopCost({ swapped, prefix, rows, columns }: Parts): number {
    const [first, second] = swapped ? [this.#right, this.#left] : [this.#left, this.#right];
    const long = (label: string) => this.#request.size(label) !== 1;
    const flat = !prefix.some((label) => second.has(label));
    const looped = prefix.filter((label) => long(label) && !(first.has(label) && second.has(label)));
    const loopedRows = looped.filter((label) => first.has(label) && !flat);
    const loopedColumns = looped.filter((label) => second.has(label));
    const narrow = (loops: Labels, labels: Labels) =>
      loops.length > 0 && (!labels.some(long) || this.#volume(labels) < Math.min(fewRows, this.#volume(loops)));
    const vectors = [narrow(loopedRows, rows), narrow(loopedColumns, columns)].filter(Boolean).length;
    const packed = !flat && this.#volume([...second]) > this.#volume([...first]) ? weights.largeSecond : 0;
    return packed + vectors * weights.vectorLoop + (loopedRows.length + loopedColumns.length) * weights.matrixLoop;
  }
}

interface Parts {
  readonly order: Labels;
  readonly swapped: boolean;
  readonly prefix: Labels;
  readonly rows: Labels;
  readonly columns: Labels;
  readonly inner: Labels;
}

type Shape = Pick<PairPlan, "kind" | "swapped" | "first" | "second" | "groups" | "order">;

/** Leading axes of size 1 are left out: broadcasting supplies them. */
function operandPlan(groups: readonly Labels[]): OperandPlan {
  const order = groups.flat();
  let start = 0;
  while (start < groups.length - 2 && groups[start]!.length === 0) start++;
  return { order, groups: groups.slice(start) };
}

/** An operand of an element-wise product along `order`. */
function spread(order: Labels, labels: ReadonlySet<string>): OperandPlan {
  const from = order.findIndex((label) => labels.has(label));
  const groups = from < 0 ? [] : order.slice(from).map((label) => (labels.has(label) ? [label] : []));
  return { order: order.filter((label) => labels.has(label)), groups };
}
