import { passes } from "../../src/passes/pipeline.ts";
import type { Rule } from "../../src/passes/rewrite/rule.ts";
import { rootOps } from "../../src/passes/rewrite/term.ts";
import { rulesByPass } from "../../src/passes/rules/index.ts";

/** A rule, or a search described like one. */
type Described = Pick<Rule, "name" | "formula" | "refuses"> & Partial<Pick<Rule, "tolerance" | "left">>;

/** `docs/rules.md`: every rule by pass. Passes without an entry search on their own. */
export function renderRules(): string {
  const sections = passes.map(({ name, doc }) => {
    const rules = rulesByPass.get(name);
    if (!rules) return `## ${name}\n\n${doc}\n`;
    return `## ${name}\n\n${doc}\n\n| rule | says | results | refuses because |\n| --- | --- | --- | --- |\n${rows(rules).join("\n")}\n`;
  });
  return `${head}\n${sections.join("\n")}`;
}

/** One row per rule; a family, one rule per op and otherwise alike, is one row. */
function rows(rules: readonly Described[]): readonly string[] {
  const families = new Map<string, { readonly rule: Described; readonly ops: string[] }>();
  for (const rule of rules) {
    const [op, ...others] = rule.left ? (rootOps(rule.left) ?? []) : [];
    const own = op !== undefined && others.length === 0 && rule.name.split("-").includes(op) ? op : undefined;
    const general = (text: string) => (own ? text.replace(new RegExp(`\\b${own}\\b`, "g"), "OP") : text);
    const alike = { ...rule, name: general(rule.name), formula: general(rule.formula) };
    const key = own ? `${alike.name} ${alike.formula} ${alike.tolerance}` : rule.name;
    const family = families.get(key);
    if (family) family.ops.push(own!);
    else families.set(key, { rule: own ? alike : rule, ops: own ? [own] : [] });
  }
  return [...families.values()].map(({ rule, ops }) => {
    const only = ops.length === 1 ? (text: string) => text.replaceAll("OP", ops[0]!) : (text: string) => text;
    const list = ops.length > 1 ? `; OP is ${ops.join(", ")}` : "";
    const refuses = [...new Set(rule.refuses ?? [])].map(cell).join("; ");
    return `| ${only(rule.name)} | ${cell(only(rule.formula))}${list} | ${rule.tolerance ?? "reordered"} | ${refuses} |`;
  });
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

const head = `<!-- Generated from src/passes by \`npm run docs\`. Do not edit. -->

# Rules

What each pass applies, in order. Results are \`exact\` (the same numbers), \`reordered\` (the same sums in another order, so
rounded differently) or \`approximate\` (the formula says by how much). Rules of the passes named \`fuse-…\` also refuse where
a value inside of the pattern is needed elsewhere; elementwise rules that are \`reordered\` where whole numbers are made of
the value behind it, or a comparison. \`x\`, \`y\`, \`z\`, \`w\` are tensors, \`c\` and \`d\` constants, other letters
attributes; OP stands for each of the ops listed, in the name too. \`qkv explain MODEL RULE\` says where a rule fired in a model, and where it refused and why.
`;
