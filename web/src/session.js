/** onnxruntime-web: the only module that knows it.  graph bytes -> a session, on WebAssembly or WebGPU. */
import { importRuntime } from "#platform";
import { DeviceError, ModelError, UsageError } from "./errors.js";

const DEVICES = ["auto", "wasm", "webgpu"];
/** They decide how bytes are read, and run on WebAssembly on every device: a GPU may round or use Winograd. */
const EXACT = ["scales_first", "scales_second"];

/**
 * @typedef {object} RuntimeOptions
 * @property {"auto"|"wasm"|"webgpu"} [device] of the float networks; auto takes WebGPU where it works
 * @property {number} [threads] of WebAssembly; more than one needs a cross-origin isolated page
 * @property {(kind: "wasm"|"webgpu") => Promise<object>} [loadRuntime] gives the onnxruntime-web module, where
 *   it does not come from npm
 * @property {string} [runtimePath] URL of the folder with onnxruntime-web's .wasm files, where it is not beside it
 */

/** One per set of options: onnxruntime-web has one state a page. @param {RuntimeOptions} options */
export async function openRuntime({
  device = "auto",
  threads,
  loadRuntime = importRuntime,
  runtimePath,
} = {}) {
  if (!DEVICES.includes(device))
    throw new UsageError(`device ${device} is unknown; use one of ${DEVICES.join(", ")}`);
  const gpu = device !== "wasm" && (await hasAdapter());
  if (device === "webgpu" && !gpu)
    throw new DeviceError("device webgpu: this browser offers no GPU; use wasm");
  const kind = gpu ? "webgpu" : "wasm";
  const ort = await loadRuntime(kind).catch((error) => {
    throw new DeviceError(
      `onnxruntime-web cannot be loaded (${error.message}); run: npm install onnxruntime-web`,
    );
  });
  ort.env.logLevel = "error";
  if (runtimePath) ort.env.wasm.wasmPaths = runtimePath;
  if (threads) ort.env.wasm.numThreads = threads;
  return { ort, kind };
}

async function hasAdapter() {
  return Boolean(await globalThis.navigator?.gpu?.requestAdapter().catch(() => null));
}

/** Calls wait for each other: a WebAssembly runtime runs one graph at a time. */
let last = Promise.resolve();

/** @returns {(inputs: Record<string, [string, ArrayLike, number[]]>) => Promise<object[]>} outputs in graph order */
export async function openSession({ ort, kind }, name, graph) {
  const provider = EXACT.includes(name) ? "wasm" : kind;
  const options = { executionProviders: [provider], graphOptimizationLevel: "all", logSeverityLevel: 3 };
  const session = await inTurn(() => ort.InferenceSession.create(graph, options)).catch((error) => {
    throw new ModelError(
      `onnxruntime-web ${ort.env.versions?.web ?? ""} cannot load graph ${name}: ${error.message ?? error}`,
    );
  });
  return async (inputs) => {
    const feeds = Object.fromEntries(
      Object.entries(inputs).map(([key, [type, data, dims]]) => [key, new ort.Tensor(type, data, dims)]),
    );
    const outputs = await inTurn(() => session.run(feeds)).catch((error) => {
      throw new DeviceError(`graph ${name} failed: ${error.message ?? error}`);
    });
    return Promise.all(session.outputNames.map((output) => outputs[output].getData(true)));
  };
}

function inTurn(work) {
  const result = last.then(work, work);
  last = result.catch(() => {});
  return result;
}
