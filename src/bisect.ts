import type { SourceLocation } from "./ir/diagnostics.ts";
import type { Graph, Node } from "./ir/graph.ts";
import { verifyGraph } from "./ir/verify.ts";
import { type Pass, type PassContext, tallying } from "./passes/pass.ts";
import { noteOf } from "./passes/rewrite/report.ts";

/** Where something went wrong: an operation, by what the author calls it. */
export interface BlamedNode {
  readonly op: string;
  readonly name?: string;
  readonly location?: SourceLocation;
}

/** What in a pass changes results, as far as it can be told. */
export interface Blame {
  readonly rule?: string;
  readonly node?: BlamedNode;
  /** The rewrite is the `number`th of `total`; without it the pass is right, with it wrong. Passes may not count theirs. */
  readonly rewrite?: { readonly number: number; readonly total: number };
}

/** One run of a pass: what it asked to rewrite, and how it ended. */
interface Attempt {
  readonly asked: readonly { readonly rule: string; readonly node: Node }[];
  readonly fired: ReadonlySet<string>;
  readonly isRight: boolean;
}

/**
 * Finds the rewrite of a pass that changes results, by running the pass again with fewer and fewer of its rewrites allowed:
 * after about log₂ n runs, one remains that makes the difference. Where a pass does not ask, the rule is found by switching
 * rules off. `isRight` judges a graph; a pass that throws or makes a malformed graph is wrong.
 */
export async function blame(
  pass: Pass,
  before: Graph,
  cx: PassContext,
  isRight: (graph: Graph) => Promise<boolean>,
): Promise<Blame> {
  const attempt = async (limit: number, without = cx.options.without): Promise<Attempt> => {
    const asked: { rule: string; node: Node }[] = [];
    const allows = (rule: string, node: Node): boolean => {
      if (asked.length >= limit || !cx.options.allows(rule, node)) return false;
      asked.push({ rule, node });
      return true;
    };
    const { report, tally } = tallying();
    const judged = async (): Promise<boolean> => {
      try {
        const after = await pass.run(before, { ...cx, report, options: { ...cx.options, without, allows } });
        verifyGraph(after, { arena: cx.arena });
        return await isRight(after);
      } catch {
        return false;
      }
    };
    const verdict = await judged();
    return { asked, fired: new Set(tally().fired.keys()), isRight: verdict };
  };
  const whole = await attempt(Number.POSITIVE_INFINITY);
  const total = whole.asked.length;
  if (total === 0 || !(await attempt(0)).isRight) {
    const rule = await ruleToBlame([...whole.fired], async (rule) =>
      attempt(Number.POSITIVE_INFINITY, new Set([...cx.options.without, rule])),
    );
    return rule === undefined ? {} : { rule };
  }
  let [right, wrong] = [0, total];
  while (wrong - right > 1) {
    const middle = Math.floor((right + wrong) / 2);
    if ((await attempt(middle)).isRight) right = middle;
    else wrong = middle;
  }
  const last = (await attempt(wrong)).asked.at(-1)!;
  return { rule: last.rule, node: describeNode(cx, last.node), rewrite: { number: wrong, total } };
}

/** The only rule that fired, or the first whose absence makes the pass right. */
async function ruleToBlame(
  fired: readonly string[],
  without: (rule: string) => Promise<Attempt>,
): Promise<string | undefined> {
  if (fired.length === 1) return fired[0];
  for (const rule of fired) if ((await without(rule)).isRight) return rule;
  return undefined;
}

function describeNode(cx: PassContext, node: Node): BlamedNode {
  const { value, location } = noteOf(cx, node);
  return {
    op: node.op,
    ...(value !== undefined && value !== node.op && { name: value }),
    ...(location && { location }),
  };
}
