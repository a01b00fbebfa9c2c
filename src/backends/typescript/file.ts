import { calleesOf, codesOf, numberText, quote, type Statement } from "./code.ts";
import { layoutStatements, lineWidth } from "./layout.ts";
import type { Setting } from "./settings.ts";

/** What a model file declares. */
export interface ModelParts {
  readonly name: string;
  readonly settings: readonly Setting[];
  /** Names of functions of the DSL: a setting called like one is read off `settings`. */
  readonly shadowed: ReadonlySet<string>;
  readonly body: readonly Statement[];
  readonly comment: string | undefined;
}

/** The text of a model file: what it imports, and its declaration. */
export function modelFile(parts: ModelParts): string {
  const declaration = declarationOf(parts);
  const callees = parts.body.flatMap(codesOf).flatMap(calleesOf);
  const types = /\bTensor\b/.test(declaration) ? ["type Tensor"] : [];
  const functions = callees.filter((callee) => /^\w+$/.test(callee));
  return `${importLine(["model", ...functions, ...types])}\n${declaration}`;
}

function importLine(names: readonly string[]): string {
  const sorted = [...new Set(names)].sort((a, b) => (letters(a) < letters(b) ? -1 : 1));
  const line = `import { ${sorted.join(", ")} } from "qkv";\n`;
  return line.length <= lineWidth + 1
    ? line
    : `import {\n${sorted.map((one) => `  ${one},\n`).join("")}} from "qkv";\n`;
}

/** What the formatter sorts names by: letter by letter, a capital before its small one. */
const letters = (name: string): string =>
  [...name.replace(/^type /, "")]
    .map((letter) => letter.toLowerCase() + (letter === letter.toLowerCase() ? "1" : "0"))
    .join("");

function declarationOf({ name, settings, shadowed, body, comment }: ModelParts): string {
  const text = layoutStatements(body, 2);
  const used = settings.filter((setting) => new RegExp(`\\b${setting.name}\\b`).test(text));
  const plain = used.filter((setting) => !shadowed.has(setting.name)).map((setting) => setting.name);
  const whole = plain.length < used.length;
  const pattern = `{ ${plain.join(", ")} }`;
  const parameters = used.length === 0 ? "()" : whole ? "(settings)" : `(${pattern})`;
  const taken = whole && plain.length > 0 ? `  const ${pattern} = settings;\n` : "";
  const defaults = used.map((setting) => `${setting.name}: ${numberText(setting.value)}`);
  const said = comment === undefined ? "" : `/** ${comment.replaceAll("*/", "* /")} */\n`;
  const head = (given: string) => `export default model(${quote(name)}, ${given}${parameters} => {`;
  const inline = head(used.length === 0 ? "" : `{ ${defaults.join(", ")} }, `);
  const apart = inline.length > lineWidth ? `${objectOf(defaults)}\n` : "";
  const opening = apart === "" ? inline : head("defaults, ");
  return `${said}${apart}${opening}\n${taken}${text}});\n`;
}

function objectOf(entries: readonly string[]): string {
  const line = `const defaults = { ${entries.join(", ")} };\n`;
  return line.length <= lineWidth + 1
    ? line
    : `const defaults = {\n${entries.map((one) => `  ${one},\n`).join("")}};\n`;
}
