import { opDef } from "../../src/ir/arena.ts";
import { type AttrSpec, attrKey } from "../../src/ir/attrs.ts";
import type { OpDef } from "../../src/ir/op-def.ts";
import { activation } from "../../src/ir/ops/activation.ts";
import { attention } from "../../src/ir/ops/attention.ts";
import { contract } from "../../src/ir/ops/contract.ts";
import { control } from "../../src/ir/ops/control.ts";
import { einsum } from "../../src/ir/ops/einsum.ts";
import { elementwise } from "../../src/ir/ops/elementwise.ts";
import { ops } from "../../src/ir/ops/index.ts";
import { leaves } from "../../src/ir/ops/leaves.ts";
import { linearAttention } from "../../src/ir/ops/linear-attention.ts";
import { movement } from "../../src/ir/ops/movement.ts";
import { norm } from "../../src/ir/ops/norm.ts";
import { position } from "../../src/ir/ops/position.ts";
import { reduce } from "../../src/ir/ops/reduce.ts";
import { softmax } from "../../src/ir/ops/softmax.ts";

const areas: readonly (readonly [title: string, records: object])[] = [
  ["Leaves", leaves],
  ["Elementwise", elementwise],
  ["Reductions", reduce],
  ["Movement", movement],
  ["Products", { ...contract, ...einsum }],
  ["Normalisers", softmax],
  ["Attention", { ...attention, ...linearAttention }],
  ["Norms", norm],
  ["Activations", activation],
  ["Positions", position],
  ["Control flow", control],
];

/** `docs/ops.md`: every op as its record describes it. */
export function renderOps(): string {
  const listed = new Set(areas.flatMap(([, records]) => Object.keys(records)));
  const rest = Object.keys(ops).filter((name) => !listed.has(name));
  const all =
    rest.length > 0 ? [...areas, ["Others", Object.fromEntries(rest.map((name) => [name, 0]))] as const] : areas;
  const sections = all.map(([title, records]) => `## ${title}\n\n${Object.keys(records).map(renderOp).join("\n")}`);
  return `${head}\n${sections.join("\n")}`;
}

const head = `<!-- Generated from src/ir/ops by \`npm run docs\`. Do not edit. -->

# Ops

Each op under the one name it has in declarations, in the text form and in errors. \`bias?\` may be left out, \`...xs\` takes
any number of operands. Constraints are quoted by their number when an operand breaks them (QKV210). The result's type
follows from operands and attributes. A composite means what its decomposition into other ops computes.
`;

function renderOp(name: string): string {
  const def = opDef(name);
  const parts = [`### ${name}\n\n${def.doc}\n`, `\`${signature(def)}\`\n`];
  const attrs = Object.entries(def.attrs);
  if (attrs.length > 0)
    parts.push(`| attribute | kind | default | means |\n| --- | --- | --- | --- |\n${attrs.map(attrRow).join("\n")}\n`);
  const constraints = Object.entries(def.constraints).map(([number, text]) => `- ${number}: ${text}`);
  if (constraints.length > 0) parts.push(`${constraints.join("\n")}\n`);
  const facts = factsOf(def);
  if (facts !== "") parts.push(`${facts}\n`);
  return parts.join("\n");
}

function signature(def: OpDef): string {
  const attrs = Object.entries(def.attrs).map(([name, spec]) => (spec.default === undefined ? name : `${name}?`));
  return `${def.name}(${[...def.operands, ...(attrs.length > 0 ? [`{ ${attrs.join(", ")} }`] : [])].join(", ")})`;
}

const attrRow = ([name, spec]: readonly [string, AttrSpec]) =>
  `| \`${name}\` | ${spec.kind} | ${spec.default === undefined ? "required" : `\`${attrKey(spec.kind, spec.default)}\``} | ${spec.doc.replaceAll("|", "\\|")} |`;

function factsOf(def: OpDef): string {
  const facts: string[] = def.traits.filter((trait) => trait !== "leaf");
  if (def.identity !== undefined) facts.push(`identity ${def.identity}`);
  if (def.grad) facts.push("differentiable");
  return facts.length > 0 ? `Traits: ${facts.join(", ")}.` : "";
}
