import { invariant } from "../../../ir/diagnostics.ts";
import type { leaves } from "../../../ir/ops/leaves.ts";
import { cast, type LowerContext, type Lowerings } from "./lowering.ts";
import type { Ref } from "./ref.ts";
import { reshape } from "./shape.ts";

/** Leaves that are constants never get here: the emitter answers them as initialisers. */
function known({ node }: { readonly node: { readonly op: string } }): never {
  invariant(false, `${node.op} is an initialiser or an input`);
}

function iota({ e, attrs, type }: LowerContext<"iota">): Ref {
  const limit = reshape(e, e.vector([attrs.size]), []);
  const range = e.op({ dtype: "i64", shape: [attrs.size] }, "Range", [e.scalar("i64", 0), limit, e.scalar("i64", 1)]);
  return cast(e, range, type.dtype);
}

export const leafLowerings: Lowerings<keyof typeof leaves> = {
  input: known,
  param: known,
  constant: known,
  iota,
  size: ({ e, attrs }) => reshape(e, e.vector([attrs.of]), []),
};
