import { once } from "node:events";
import { setImmediate } from "node:timers/promises";
import { isMainThread, Worker } from "node:worker_threads";
import { QkvError } from "../ir/diagnostics.ts";

/** How long a model file may take to be evaluated, and again to be built, in milliseconds. */
export const timeLimit = 30_000;

/**
 * What `work`, code of the model file `path`, comes to; QKV135 after `ms`. The timer also keeps Node from leaving while a
 * promise never settles.
 */
export async function within<T>(ms: number, path: string, work: () => T | Promise<T>): Promise<T> {
  const loops = breakLoops(ms);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const give = async () => {
      await loops.stop();
      reject(
        new QkvError("QKV135", `${path} did not finish loading within ${ms / 1000} s`, {
          help: "is there a loop that never ends, or a top-level await that never settles?",
        }),
      );
    };
    timer = setTimeout(give, ms);
  });
  try {
    // In a turn of its own: what is queued behind a loop is lost where that is broken off.
    return await Promise.race([setImmediate().then(work), late]);
  } finally {
    clearTimeout(timer);
    void loops.stop();
  }
}

/**
 * A loop lets no timer through. One that goes on past `ms` is broken off from a thread beside it, where the project runs
 * compiled and on the main thread; what waits for timers then goes on.
 */
function breakLoops(ms: number): { readonly stop: () => Promise<unknown> } {
  if (!import.meta.url.endsWith(".js") || !isMainThread) return { stop: async () => {} };
  const stopped = new Int32Array(new SharedArrayBuffer(4));
  const thread = new Worker(new URL("./time-limit-worker.js", import.meta.url), {
    workerData: { stopped, ms },
    execArgv: [],
  });
  const end = once(thread, "exit");
  thread.unref();
  const stop = () => {
    thread.ref();
    Atomics.store(stopped, 0, 1);
    Atomics.notify(stopped, 0);
    return end;
  };
  return { stop };
}
