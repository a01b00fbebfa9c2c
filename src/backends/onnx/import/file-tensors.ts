import { fail } from "../../../ir/diagnostics.ts";
import { type DType, viewBytes } from "../../../ir/dtype.ts";
import { type HostTensor, hostTensor } from "../../../ir/tensor.ts";
import { isExternal, type OnnxTensor } from "../schema.ts";
import { dtypeName } from "../tensor-data.ts";

/** A tensor of ours, viewed in the file's bytes. Throws QKV413 where its data was not read with the model. */
export function hostOf(tensor: OnnxTensor): HostTensor {
  const { name, dtype, dims, bytes } = tensor;
  if (typeof dtype === "number") return fail("QKV405", `"${name}" is a tensor of ${dtypeName(dtype)}`);
  if (isExternal(bytes)) return fail("QKV413", `the data of "${name}" lies in another file, which was not read`);
  return hostTensor(dtype, dims, viewBytes(dtype, bytes));
}

/** The trained tensors of a file, by name: a store of weights. */
export class FileTensors {
  readonly source = "the model's own tensors";
  readonly #tensors = new Map<string, OnnxTensor>();

  /** Takes a tensor in; answers the name it has in the store, which another tensor may have taken before. */
  add(tensor: OnnxTensor): string {
    let name = tensor.name || "constant";
    for (let i = 1; this.#tensors.has(name) && this.#tensors.get(name) !== tensor; i++)
      name = `${tensor.name || "constant"}_${i}`;
    this.#tensors.set(name, tensor);
    return name;
  }

  names(): readonly string[] {
    return [...this.#tensors.keys()];
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  describe(name: string): { readonly dtype: DType; readonly dims: readonly number[] } {
    const { dtype, dims } = this.#find(name);
    return { dtype: dtype as DType, dims };
  }

  read(name: string): HostTensor {
    return hostOf(this.#find(name));
  }

  #find(name: string): OnnxTensor {
    return this.#tensors.get(name) ?? fail("QKV435", `${this.source} have none called "${name}"`);
  }
}
