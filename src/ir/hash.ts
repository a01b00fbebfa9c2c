import type { HostTensor } from "./tensor.ts";
import { tensorBytes } from "./tensor.ts";

/**
 * A 64-bit hash of bytes as 16 hexadecimal digits: two lanes of FNV-1a with different offsets, each mixed at the end
 * as MurmurHash3 does. For telling contents apart, not against an adversary.
 */
function hashBytes(bytes: Uint8Array): string {
  let low = 0x811c9dc5;
  let high = 0x9747b28c;
  for (let i = 0; i < bytes.length; i++) {
    low = Math.imul(low ^ bytes[i]!, 0x01000193);
    high = Math.imul(high ^ bytes[i]! ^ (low >>> 15), 0x01000193);
  }
  return hex(mix(low ^ bytes.length)) + hex(mix(high + low));
}

export const hashText = (text: string): string => hashBytes(new TextEncoder().encode(text));

const hex = (word: number) => (word >>> 0).toString(16).padStart(8, "0");

function mix(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

const digests = new WeakMap<HostTensor, string>();

/** Digest of a tensor's element type, dims and elements. Remembered per tensor object. */
export function tensorDigest(tensor: HostTensor): string {
  let digest = digests.get(tensor);
  if (digest === undefined)
    digests.set(
      tensor,
      (digest = hashText(`${tensor.dtype}[${tensor.dims.join(",")}]${hashBytes(tensorBytes(tensor))}`)),
    );
  return digest;
}
