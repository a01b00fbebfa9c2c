import { parentPort, workerData } from "node:worker_threads";
import { checkTypes } from "./check-types.ts";

parentPort?.postMessage(await checkTypes(workerData as string));
