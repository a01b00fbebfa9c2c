import { QkvError } from "../../../src/ir/diagnostics.ts";
import { mutated } from "./mutate.ts";
import { drawFor, type Reader, type Sandbox } from "./readers.ts";

/** What a reader makes of bytes that is neither a result nor a refusal of ours; undefined where all is well. */
export function checkRead(reader: Reader, bytes: Uint8Array, sandbox: Sandbox): string | undefined {
  try {
    reader.read(bytes, sandbox);
    return undefined;
  } catch (error) {
    if (error instanceof QkvError && !error.code.startsWith("QKV9")) return undefined;
    return `${reader.name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  }
}

/** The bytes of a seed and the reader they are for. */
export function bytesOfSeed(seed: number): { readonly reader: Reader; readonly bytes: Uint8Array } {
  const [reader, draw] = drawFor(seed);
  const bytes = reader.made && draw.chance(0.4) ? reader.made(draw) : mutated(draw, reader.files);
  return { reader, bytes };
}
