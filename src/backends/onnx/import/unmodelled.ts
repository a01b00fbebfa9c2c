/** Thrown by a conversion that cannot say a node in our ops; the node then stays as the file has it. */
export class Unmodelled extends Error {}

/** Leaves the node as it is, for this reason. */
export function unmodelled(reason: string): never {
  throw new Unmodelled(reason);
}
