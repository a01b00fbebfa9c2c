import { type Code, everyPart, numberText, type SizeRole } from "./code.ts";
import type { Item } from "./items.ts";
import type { Loop } from "./loops.ts";

/** A size that the model is configured with. */
export interface Setting {
  readonly name: string;
  readonly value: number;
  readonly role: SizeRole;
}

/** The sizes a model's author would name: layers, width, heads, the hidden width of its layers, vocabulary, epsilon. */
export function settingsOf(items: readonly Item[], loops: readonly Loop[]): readonly Setting[] {
  const sizes = (role: SizeRole, among: readonly Item[] = items) =>
    counted(
      among.map(({ code }) => code),
      role,
    );
  const looped = loops.flatMap(({ turns }) => turns.flat());
  const settings: Setting[] = layerSettings(loops);
  const add = (name: string, role: SizeRole, value: number | undefined) => {
    if (value !== undefined) settings.push({ name, value, role });
  };
  const widths = sizes("width");
  const d = loops.length > 0 ? widths[0]?.value : undefined;
  add("d", "width", d);
  const heads = sizes("heads")
    .map(({ value }) => value)
    .toSorted((a, b) => b - a);
  if (heads.length <= 2) {
    add("heads", "heads", heads[0]);
    add("kvHeads", "heads", heads[1]);
  }
  const hidden = sizes("width", looped).filter(({ value }) => d !== undefined && value > d);
  if (hidden.length === 1) add("ffn", "width", hidden[0]!.value);
  const vocabularies = sizes("vocab").map(({ value }) => value);
  if (vocabularies.length > 0) add("vocab", "vocab", Math.max(...vocabularies));
  const epsilons = sizes("epsilon");
  if (epsilons.length === 1 && epsilons[0]!.count > 1) add("epsilon", "epsilon", epsilons[0]!.value);
  return settings;
}

/** How many layers there are: `layers`, or called after each stack where their numbers differ. */
function layerSettings(loops: readonly Loop[]): Setting[] {
  const counts = new Map<number, string>();
  for (const { count, prefix, first } of loops) if (first === 0 && !counts.has(count)) counts.set(count, prefix);
  const names = counts.size === 1 ? ["layers"] : stackNames([...counts.values()]);
  return [...counts.keys()].map((value, i) => ({ name: names[i]!, value, role: "layers" as const }));
}

/** `encoderLayers` of the stack at `model.encoder.layers`: after a word no other has, or not all, or the last they share. */
function stackNames(prefixes: readonly string[]): readonly string[] {
  const words = prefixes.map((prefix) => prefix.split(".").filter((word) => /^[a-z][a-z_]*$/.test(word)));
  const owners = (word: string) => words.filter((own) => own.includes(word)).length;
  const taken = new Set<string>();
  return words.map((own) => {
    const word =
      own.find((each) => owners(each) === 1) ??
      own.find((each) => owners(each) < words.length) ??
      own.findLast((each) => !/^layers?$/.test(each));
    const name = `${(word ?? "more").replace(/_+([a-z])?/g, (_, letter = "") => letter.toUpperCase())}Layers`;
    const free = taken.has(name) ? `${name}${taken.size + 1}` : name;
    taken.add(free);
    return free;
  });
}

/** The sizes of a role, the most frequent first. */
function counted(
  codes: readonly Code[],
  role: SizeRole,
): readonly { readonly value: number; readonly count: number }[] {
  const counts = new Map<number, number>();
  for (const code of codes)
    for (const part of everyPart(code))
      if (part.kind === "size" && part.role === role) counts.set(part.value, (counts.get(part.value) ?? 0) + 1);
  return [...counts].map(([value, count]) => ({ value, count })).sort((a, b) => b.count - a.count || b.value - a.value);
}

/** What a size is written as: the setting it is, or a number. */
export function sizeText(
  settings: readonly Setting[],
  shadowed: ReadonlySet<string>,
  role: SizeRole,
  value: number,
): string {
  const setting = settings.find((one) => one.role === role && one.value === value);
  if (!setting) return numberText(value);
  return shadowed.has(setting.name) ? `settings.${setting.name}` : setting.name;
}
