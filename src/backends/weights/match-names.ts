import { maxSegments } from "../../ir/nearest-name.ts";

/**
 * Stored names by those they are found under: their own and, where no tensor has it, the one that transformers gives the
 * scale and shift of norms in checkpoints that came from TensorFlow.
 */
export function storedByName(stored: readonly string[]): ReadonlyMap<string, string> {
  const plain = stored.map((name) => [name.replace(/LayerNorm\.(gamma|beta)$/, plainNorm), name] as const);
  return new Map([...plain, ...stored.map((name) => [name, name] as const)]);
}

const plainNorm = (_: string, part: string): string => `LayerNorm.${part === "gamma" ? "weight" : "bias"}`;

/** A consistent renaming: every stored name carries `prefix` before the declared one, or the other way round. */
export interface PrefixRule {
  readonly action: "add" | "drop";
  readonly prefix: string;
}

/** The stored name a rule gives a declared one; undefined where the rule does not apply. */
export function applyPrefix(rule: PrefixRule, name: string): string | undefined {
  if (rule.action === "add") return rule.prefix + name;
  return name.startsWith(rule.prefix) ? name.slice(rule.prefix.length) : undefined;
}

/** Prefixes of `name` that end at a dot, shortest first, at most `maxSegments` of them. */
function* dottedPrefixes(name: string): Generator<string> {
  let dot = name.indexOf(".");
  for (let count = 0; dot !== -1 && count < maxSegments; count++) {
    yield name.slice(0, dot + 1);
    dot = name.indexOf(".", dot + 1);
  }
}

/**
 * The prefix rules that bring most of `unresolved` to a stored name, by the number of them for which `fits` holds, then
 * by the number of names. More than one is returned only where they are equally good.
 */
export function findPrefixes(
  unresolved: readonly string[],
  stored: ReadonlySet<string>,
  fits: (name: string, storedName: string) => boolean,
): readonly PrefixRule[] {
  const wanted = new Set(unresolved);
  const scores = new Map<string, { rule: PrefixRule; fitting: number; named: number }>();
  const vote = (rule: PrefixRule, name: string, storedName: string) => {
    const key = `${rule.action} ${rule.prefix}`;
    const score = scores.get(key) ?? { rule, fitting: 0, named: 0 };
    score.named++;
    if (fits(name, storedName)) score.fitting++;
    scores.set(key, score);
  };
  for (const storedName of stored)
    for (const prefix of dottedPrefixes(storedName)) {
      const name = storedName.slice(prefix.length);
      if (wanted.has(name)) vote({ action: "add", prefix }, name, storedName);
    }
  for (const name of wanted)
    for (const prefix of dottedPrefixes(name)) {
      const storedName = name.slice(prefix.length);
      if (stored.has(storedName)) vote({ action: "drop", prefix }, name, storedName);
    }
  const ranked = [...scores.values()].sort((a, b) => b.fitting - a.fitting || b.named - a.named);
  const best = ranked[0];
  return ranked.filter((s) => s.fitting === best?.fitting && s.named === best.named).map((s) => s.rule);
}
