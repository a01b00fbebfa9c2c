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
      // Nothing else gets a turn in between, unless something is being broken off: a loop could begin there.
      const broken = loops.stop();
      if (broken) await broken;
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

/** What the thread beside is told. */
export interface Watch {
  /** One of the states. */
  readonly state: Int32Array;
  readonly states: typeof states;
  readonly ms: number;
}

const states = { watching: 0, stopped: 1, breaking: 2 } as const;

/**
 * A loop lets no timer through. One that goes on past `ms` is broken off from a thread beside it, where the project runs
 * compiled and on the main thread; what waits for timers then goes on. Stopping it answers a promise where something is
 * being broken off at that moment.
 */
function breakLoops(ms: number): { readonly stop: () => Promise<unknown> | undefined } {
  if (!import.meta.url.endsWith(".js") || !isMainThread) return { stop: () => undefined };
  const state = new Int32Array(new SharedArrayBuffer(4));
  const workerData: Watch = { state, states, ms };
  const thread = new Worker(new URL("./time-limit-worker.js", import.meta.url), { workerData, execArgv: [] });
  const end = once(thread, "exit");
  thread.unref();
  const stop = () => {
    const before = Atomics.exchange(state, 0, states.stopped);
    Atomics.notify(state, 0);
    if (before !== states.breaking) return undefined;
    thread.ref();
    return end;
  };
  return { stop };
}
