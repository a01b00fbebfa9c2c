import { attrsOf, type Build } from "../../ir/arena.ts";
import { specOf } from "../../ir/contraction.ts";
import { type Dim, evaluateKnown } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { toFloat64 } from "../../ir/tensor.ts";
import { arrange, reshaped, spread } from "../attention/axes.ts";
import { isCausalMask } from "../attention/causal.ts";
import { pairAxes } from "../attention/collect.ts";
import { type Labelled, labelled } from "../attention/labels.ts";
import { type Roles, rolesOf } from "../attention/roles.ts";
import { scorePath } from "../attention/scores.ts";
import type { Matcher } from "../rewrite/fuse.ts";
import { scalarOf, tensorOf } from "../rewrite/scalar.ts";

/** Scores where a mask is on, 0 elsewhere. */
interface Masked {
  readonly mask: Value;
  readonly scores: Value;
}

function maskedBy({ op, operands: [x, y, z] }: Node): Masked | undefined {
  if (op === "select" && scalarOf(z!) === 0) return { mask: x!, scores: y! };
  if (op !== "mul") return undefined;
  const mask = zeroOrOne(y!);
  return mask ? { mask, scores: x! } : zeroOrOne(x!) && { mask: zeroOrOne(x!)!, scores: y! };
}

/** What says where a factor is 1, if it is 0 elsewhere. */
function zeroOrOne(value: Value): Value | undefined {
  if (value.node.op === "cast" && value.node.operands[0]!.type.dtype === "bool") return value.node.operands[0];
  const tensor = tensorOf(value);
  const holds = tensor && tensor.dims.length > 1 && toFloat64(tensor).every((x) => x === 0 || x === 1);
  return holds ? value : undefined;
}

/** Weights spelled out: products of queries and keys, masked, scaled and moved. */
interface Weights extends Masked {
  readonly scale: number;
  readonly labels: Labelled;
  readonly covered: readonly Node[];
}

function weightsOf(value: Value): Weights | undefined {
  const above: Node[] = [];
  let scale = 1;
  let current = value;
  for (let found = maskedBy(current.node); !found; found = maskedBy(current.node)) {
    const { op, operands } = current.node;
    const factor = op === "mul" ? scalarOf(operands[1]!) : undefined;
    if (factor === undefined && op !== "reshape" && op !== "transpose") return undefined;
    scale *= factor ?? 1;
    above.push(current.node);
    current = operands[0]!;
  }
  const masked = maskedBy(current.node)!;
  const path = scorePath(masked.scores);
  if ("reason" in path || path.product.operands.length !== 2) return undefined;
  for (const step of path.steps) {
    if (step.kind === "scale") scale *= step.factor;
    else if (step.kind !== "move") return undefined;
  }
  const { product } = path;
  const labels = labelled(
    product,
    path.steps,
    above.filter(({ op }) => op !== "mul"),
  );
  if ("reason" in labels) return undefined;
  const covered = [...above, current.node, ...path.steps.map(({ node }) => node), product];
  return { ...masked, scale, labels, covered };
}

/** Causal attention without a softmax, written as products: becomes the composite, for others to compute well. */
export const causalProducts: Matcher = {
  name: "causal-products",
  formula:
    'contract(select(key ≤ query, scale · contract(q, k), 0), v) = attention(q, k, v, causal, normaliser = "none")',
  roots: ["contract"],
  refuses: [
    "`…` is also used outside the pattern",
    "the weights are masked otherwise than by key ≤ query",
    "the length … is at most …",
  ],
  match(root, cx) {
    if (root.operands.length !== 2) return undefined;
    const at = root.operands.findIndex((operand) => weightsOf(operand));
    const weights = at < 0 ? undefined : weightsOf(root.operands[at]!);
    const roles = weights && causalRoles(root, at, weights);
    if (!roles) return undefined;
    const axes = pairAxes(weights.labels.steps[0]!, roles);
    const where = root.results[0]!;
    const { above, size } = cx.target.choices.chunks.attention;
    const positions = roles.sizes.get(roles.query[0]!)!;
    const length = evaluateKnown(positions, cx.dims);
    if (length === undefined && isChosenByLength(cx.holder, positions)) return undefined;
    // Chunks are such products themselves.
    if (length !== undefined && length <= size) return undefined;
    if (length !== undefined && length <= above)
      return { depth: 4, reason: `the length ${length} is at most ${above}`, at: where };
    if (!axes || !isCausalMask(weights.mask, axes))
      return { depth: 4, reason: "the weights are masked otherwise than by key ≤ query", at: where };
    const covered = [root, ...weights.covered];
    const shared = cx.exclusive(covered);
    if (shared) return { depth: 4, ...shared };
    return { values: [composite(cx.arena.build, root, root.operands[1 - at]!, roles, weights.scale)], covered };
  },
};

/** Whether the graph is one of two forms already, of which the length decides. */
function isChosenByLength(holder: Node | undefined, length: Dim): boolean {
  if (holder?.op !== "if") return false;
  const { op, operands } = holder.operands[0]!.node;
  const asked = op === "less" ? operands[1]!.node : undefined;
  return asked?.op === "size" && attrsOf(asked, "size").of === length;
}

/** Roles of the labels, where the root sums over the keys alone. */
function causalRoles(root: Node, at: number, { labels }: Weights): Roles | undefined {
  const { operands, result } = specOf(root);
  const summed = labels.outer.filter((_, axis) => !result.includes(operands[at]![axis]!));
  const [key, ...more] = summed.flat();
  if (key === undefined || more.length > 0) return undefined;
  const roles = rolesOf({ scores: labels, root, at, key });
  return "reason" in roles || roles.query.length !== 1 ? undefined : roles;
}

function composite(b: Build, root: Node, values: Value, roles: Roles, scale: number): Value {
  const { batch, head, group, query, key, width, valueWidth, sizes } = roles;
  const heads = [...head, ...group];
  const q = arrange(b, roles.q, roles.qLabels, [batch, heads, query, width], sizes);
  const k = arrange(b, roles.k, roles.kLabels, [batch, head, [key], width], sizes, roles.kLacks);
  const v = arrange(b, values, roles.vLabels, [batch, head, [key], valueWidth], sizes, roles.vLacks);
  const made = b.attention(q, k, v, { scale, causal: true, normaliser: "none" });
  const out = spread(b, made, [batch, heads, query, valueWidth], roles.outLabels, sizes);
  return reshaped(b, out, root.results[0]!.type.shape);
}
