import { fail } from "../../ir/diagnostics.ts";
import { type ExecutionProvider, runtimeInfo } from "./session.ts";

const targets: readonly ExecutionProvider[] = ["cpu", "webgpu", "cuda"];

export const isExecutionProvider = (name: string): name is ExecutionProvider =>
  (targets as readonly string[]).includes(name);

/**
 * Execution providers whose code is installed. `webgpu` is part of the runtime's binary, so it is listed even where
 * no graphics adapter is found: opening a session tells (QKV440).
 */
export async function availableProviders(): Promise<readonly ExecutionProvider[]> {
  const { providers } = await runtimeInfo();
  return targets.filter((target) => providers.some(({ name, installed }) => name === target && installed));
}

/** Narrows a provider's name to one that is installed. Throws QKV440 otherwise. */
export async function requireProvider(ep: string): Promise<ExecutionProvider> {
  const available = await availableProviders();
  if (isExecutionProvider(ep) && available.includes(ep)) return ep;
  const reason = isExecutionProvider(ep) ? "is not installed" : "is not known";
  return fail("QKV440", `execution provider \`${ep}\` ${reason}`, { help: `available here: ${available.join(", ")}` });
}
