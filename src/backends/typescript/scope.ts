import { invariant } from "../../ir/diagnostics.ts";
import type { Value } from "../../ir/graph.ts";
import type { Code, Slot } from "./code.ts";

/** What values are called in one block, and in the blocks around it. */
export class Scope {
  readonly #values = new Map<Value, Code>();
  readonly #slots = new Map<Slot, Code>();
  readonly #outer: Scope | undefined;
  /** What stands before the names of parameters declared here. */
  readonly prefix: string;

  constructor(outer?: Scope, prefix = outer?.prefix ?? "") {
    this.#outer = outer;
    this.prefix = prefix;
  }

  name(value: Value, code: Code): void {
    this.#values.set(value, code);
  }

  fill(slot: Slot, code: Code): void {
    this.#slots.set(slot, code);
  }

  codeOf(value: Value): Code {
    for (let scope: Scope | undefined = this; scope; scope = scope.#outer) {
      const code = scope.#values.get(value);
      if (code) return code;
    }
    invariant(false, `a ${value.node.op} is read before it is written`);
  }

  filled(slot: Slot): Code {
    for (let scope: Scope | undefined = this; scope; scope = scope.#outer) {
      const code = scope.#slots.get(slot);
      if (code) return code;
    }
    invariant(false, "a slot is read outside of its loop");
  }
}
