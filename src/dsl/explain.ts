import { QkvError } from "../ir/diagnostics.ts";
import type { Value } from "../ir/graph.ts";
import { showType } from "../ir/types.ts";
import type { Site } from "./site.ts";
import { type Call, callAt } from "./source.ts";

const longestLabel = 24;

/** Stands in messages for what the author wrote as argument `index`; `name` where that is not known or too long. */
export const argument = (name: string, index: number): string => `‹${name}:${index}›`;

const placeholder = /‹(\w+):(\d+)›/g;
const typeNote = /^\w+: \w+\[/;

/** An error within a DSL call as one that shows the author's own source: place, variables, their types. */
export function explain(error: QkvError, site: Site, args: readonly unknown[]): QkvError {
  const { location } = site;
  const call = location && callAt(location, site.callee);
  const texts = call ? argumentTexts(call, args.length) : [];
  const label = (text: string) =>
    text.replace(placeholder, (_, name: string, index: string) => shortText(texts[Number(index)]) ?? name);
  const { notes = [], help } = error.details;
  const types = typesOf(args, texts);
  const kept = notes.filter((note) => !typeNote.test(note) || types === "").map(label);
  const { option } = error.details;
  const place = (option !== undefined && call?.options.get(option)) || call?.location;
  return new QkvError(error.code, label(error.message), {
    ...error.details,
    ...(location && { location: place ?? location }),
    notes: types === "" ? kept : [types, ...kept],
    ...(help !== undefined && { help: label(help) }),
  });
}

/** Source text of what a DSL function was given; a method's receiver comes first. */
const argumentTexts = (call: Call, count: number): readonly string[] =>
  call.receiver !== undefined && call.args.length < count ? [call.receiver, ...call.args] : call.args;

const shortText = (text: string | undefined): string | undefined =>
  text !== undefined && text.length <= longestLabel && !text.includes("\n") ? text : undefined;

function typesOf(args: readonly unknown[], texts: readonly string[]): string {
  const shown = args.flatMap((arg, i) => {
    const value = (arg as { value?: Value } | undefined)?.value;
    return value && "type" in value ? [`${shortText(texts[i]) ?? `operand ${i + 1}`}: ${showType(value.type)}`] : [];
  });
  return shown.join("    ");
}
