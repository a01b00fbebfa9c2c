import { graphOf } from "../../../src/ir/arena.ts";
import { nodesOf, type Value } from "../../../src/ir/graph.ts";
import { type OpName, ops } from "../../../src/ir/ops/index.ts";
import { pickBlock, type RandomModel, weightsFor } from "../../pipeline/support/random-model.ts";
import { type Grower, grower } from "./grower.ts";
import { productions } from "./productions.ts";

const opNames = Object.keys(ops) as OpName[];

/** Tries in a row that may come to nothing. */
const patience = 20;
const mostOutputs = 6;

/** A block of attention, a norm or the like on a value of tokens by features. */
function block(m: Grower): Value {
  const x = m.some(
    ({ dtype, shape: [batch, tokens, width, ...rest] }) =>
      dtype === "f32" && batch === m.batch && tokens === m.tokens && Number(width) > 0 && rest.length === 0,
  );
  return pickBlock(m)(m, x ?? m.input("f32", [m.batch, m.tokens, m.draw.pick([1, 2, 4, 6])]));
}

/** Adds what one op, or one block, makes of values there are. */
function step(m: Grower): boolean {
  const made = m.draw.chance(0.2) ? block(m) : productions[m.draw.pick(opNames)](m);
  const values = made === undefined ? [] : Array.isArray(made) ? (made as readonly Value[]) : [made as Value];
  return values.filter((value) => m.admit(value)).length > 0;
}

/**
 * A well-typed graph of about `size` ops drawn from the whole registry (NNSmith, Liu et al., arXiv:2207.13066): built op
 * by op on values there are, missing operands made to fit, dims static or symbolic; every value a number at one set
 * of inputs at least. The same for a seed.
 */
export function randomGraph(seed: number, size: number): RandomModel {
  const m = grower(seed);
  m.admit(m.input("f32", [m.batch, m.tokens, m.draw.pick([1, 2, 3, 4, 6, 8])]));
  m.admit(m.input(m.draw.pick(["f32", "f32", "i64", "bool"] as const), [m.tokens, m.draw.pick([1, 2, 4])]));
  m.admit(m.input("f32", [m.past]));
  for (let made = 0, tries = 0; made < size && tries < patience; )
    if (step(m)) [made, tries] = [made + 1, 0];
    else tries++;
  const graph = graphOf("fuzz", m.inputs, outputsOf(m));
  return { arena: m.arena, graph, weights: weightsFor(graph) };
}

/** The values nothing uses, the last ones first, and now and then one of the others. */
function outputsOf({ pool, draw }: Grower): (readonly [string, Value])[] {
  const used = new Set(
    nodesOf(
      graphOf(
        "all",
        [],
        pool.map((value) => ["", value]),
      ),
    ).flatMap(({ operands }) => operands),
  );
  const ends = pool.filter((value) => !used.has(value)).reverse();
  const chosen = [...ends.slice(0, mostOutputs), ...(draw.chance(0.4) ? [draw.pick(pool)] : [])];
  return chosen.map((value, i) => [`out${i}`, value] as const);
}
