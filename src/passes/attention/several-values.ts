import { type ContractionSpec, resultOrder, specOf, turned } from "../../ir/contraction.ts";
import type { Node, Value } from "../../ir/graph.ts";
import type { FuseContext, Matcher } from "../rewrite/fuse.ts";
import { analyse, isMiss, probabilities } from "./match.ts";

/** A product of the probabilities and values of its own. */
interface Product {
  readonly node: Node;
  readonly values: Value;
  /** The axes of its result in the order of the first product's. */
  readonly perm: readonly number[];
}

/** The axis only the values have, in them and in the result. */
function widthOf({ operands, result }: ContractionSpec, at: number): readonly [number, number] | undefined {
  const own = result.filter((label) => !operands[at]!.includes(label));
  return own.length === 1 ? [operands[1 - at]!.indexOf(own[0]!), result.indexOf(own[0]!)] : undefined;
}

/** `node` as a product like `root`, of the operand at `at` and other values; undefined where it is something else. */
function productLike(root: Node, at: number, axis: number, node: Node): Product | undefined {
  if (node.op !== "contract" || node.operands.length !== 2) return undefined;
  const theirs = node.operands.indexOf(root.operands[at]!);
  const values = node.operands[1 - theirs];
  if (theirs < 0 || values === undefined || values === root.operands[at]) return undefined;
  const [spec, own] = [specOf(root), specOf(node)];
  const [mine, shape] = [root.operands[1 - at]!.type.shape, values.type.shape];
  if (shape.some((dim, i) => (i === axis ? typeof dim !== "number" : dim !== mine[i]))) return undefined;
  const perm = resultOrder(theirs === at ? own : turned(own), spec);
  return perm && { node, values, perm };
}

/** All products of the same probabilities, or undefined where those are needed for anything else too. */
function productsOf(root: Node, at: number, axis: number, { uses }: FuseContext): readonly Product[] | undefined {
  const weights = root.operands[at]!;
  const users = [...new Set(uses.users.get(weights)?.map(({ node }) => node))];
  const products = users.flatMap((node) => productLike(root, at, axis, node) ?? []);
  return uses.outputs.has(weights) || products.length < users.length || users.length < 2 ? undefined : products;
}

/** Weights that several products need, as in differential attention, attend to the values of all at once. */
export const severalValues: Matcher = {
  name: "several-values",
  formula:
    "contract(p, v), contract(p, w) = slices of contract(p, concat(v, w)) where p are the weights of an attention",
  roots: ["contract"],
  refuses: [],
  match(root, cx) {
    const b = cx.arena.build;
    const at = root.operands.findIndex((operand) => probabilities(operand, b));
    if (at < 0 || root.operands.length !== 2) return undefined;
    const [axis, width] = widthOf(specOf(root), at) ?? [];
    const products = axis === undefined ? undefined : productsOf(root, at, axis, cx);
    if (axis === undefined || !products || isMiss(analyse(root, at, b))) return undefined;
    const operands = [...root.operands];
    operands[1 - at] = b.concat(...products.map(({ values }) => values), { axis });
    const whole = b.contract(...operands, { spec: root.attrs.get("spec") as string });
    let end = 0;
    const parts = products.map(({ node, values, perm }) => {
      const start = end;
      end += Number(values.type.shape[axis]);
      return [node.results[0]!, b.transpose(b.slice(whole, { axis: width!, start, end }), { perm })] as const;
    });
    const own = parts.find(([from]) => from.node === root)![1];
    return {
      values: [own],
      also: parts.filter(([from]) => from.node !== root),
      covered: products.map(({ node }) => node),
    };
  },
};
