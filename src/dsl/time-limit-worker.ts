import { Session } from "node:inspector/promises";
import { workerData } from "node:worker_threads";
import type { Watch } from "./time-limit.ts";

const { state, states, ms } = workerData as Watch;
// A main thread that is not held up is given time to say so. What is broken off need not be the loop yet, so again.
const patience = 100;
let left = ms + patience;
while (Atomics.wait(state, 0, states.watching, left) === "timed-out") {
  if (Atomics.compareExchange(state, 0, states.watching, states.breaking) !== states.watching) break;
  const session = new Session();
  session.connectToMainThread();
  await session.post("Runtime.terminateExecution");
  session.disconnect();
  if (Atomics.compareExchange(state, 0, states.breaking, states.watching) !== states.breaking) break;
  left = patience;
}
