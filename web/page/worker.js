/** The codec in a worker of its own, so that the page stays responsive.
 *
 *     {id, call, args} -> {id, result} or {id, error};  meanwhile {id, share} and {loading: {loaded, total}} */
import { AecodecError, Codec, info } from "../src/index.js";
import { readUrl } from "../src/source.js";

const RUNTIME = { wasm: "ort-wasm-simd-threaded", webgpu: "ort-wasm-simd-threaded.asyncify" };
/** Bytes of the runtime, of which a server that compresses does not tell. */
const RUNTIME_BYTES = { wasm: 14_239_897, webgpu: 26_781_914 };
let codec;
let progress = { loaded: 0, total: 0 };

/** Starts anew on "wasm" or "webgpu", with the site's own models unless others are named. */
function start({ device, models, threads }) {
  progress = { loaded: 0, total: 0 };
  codec = new Codec({
    device,
    threads,
    models,
    loadRuntime,
    onProgress: ({ loaded, total }) => report("model", loaded, total),
  });
}

async function loadRuntime(kind) {
  const ort = await (kind === "webgpu" ? import("onnxruntime-web/webgpu") : import("onnxruntime-web/wasm"));
  const url = new URL(`../ort/${RUNTIME[kind]}.wasm`, import.meta.url);
  let loaded = 0;
  const onBytes = (n) => report("runtime", (loaded += n), RUNTIME_BYTES[kind]);
  ort.env.wasm.wasmBinary = (
    await readUrl(url, { key: `onnxruntime-web ${ort.env.versions.web}`, onBytes })
  ).buffer;
  ort.env.wasm.wasmPaths = new URL("../ort/", import.meta.url).href;
  return ort;
}

function report(stage, loaded, total) {
  postMessage({ loading: { stage, loaded, total } });
}

async function timed(work) {
  const begin = performance.now();
  const result = await work();
  return { ...result, ms: performance.now() - begin };
}

const calls = {
  start,

  /** ImageData -> {data, ms}; what has to be loaded is loaded before. */
  async encode({ image, quality, tune }, onProgress) {
    await codec.load({ encoder: true, tune });
    return timed(async () => ({ data: await codec.encode(image, { quality, tune, onProgress }) }));
  },

  /** Bytes -> {picture, facts, device, ms} */
  async decode({ data }, onProgress) {
    const facts = await info(data, codec.limits);
    await codec.load({ modelId: facts.model_id });
    const found = await timed(async () => ({ picture: await codec.read(data, { onProgress }) }));
    return { ...found, facts, device: await codec.device() };
  },
};

onmessage = async ({ data: { id, call, args } }) => {
  try {
    postMessage({ id, result: await calls[call](args, (share) => postMessage({ id, share })) });
  } catch (error) {
    const known = error instanceof AecodecError;
    postMessage({
      id,
      error: { name: error.name, message: known ? error.message : `${error.name}: ${error.message}` },
    });
    if (!known) console.error(error);
  }
};
