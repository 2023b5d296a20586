/** What Node has instead of the browser: files, a WebP decoder from npm, plain objects for ImageData. */
import { readFile as readPath } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { FormatError } from "../errors.js";

/** Relative names of folders begin here. */
export const base = () => `${pathToFileURL(process.cwd()).href}/`;

/** @param {URL} url of scheme file: @returns {Promise<Buffer>} */
export const readFile = (url) => readPath(url);

let decoder;

/** A WebP without alpha -> {data, width, height}, RGBA. FormatError without the package @jsquash/webp. */
export async function decodeWebp(webp) {
  decoder ??= openDecoder();
  const module = await decoder.catch((error) => {
    decoder = undefined;
    throw new FormatError(
      `the file has blocks in WebP, and this Node cannot read WebP (${error.message}): npm install @jsquash/webp`,
    );
  });
  const found = withImageData(() => module.decode(webp.slice().buffer));
  if (!found) throw new Error("it cannot be decoded");
  return found;
}

async function openDecoder() {
  const files = "@jsquash/webp/codec/dec/webp_dec";
  const { default: factory } = await import(`${files}.js`);
  const wasmBinary = await readPath(createRequire(import.meta.url).resolve(`${files}.wasm`));
  const opening = withImageData(() => factory({ noInitialRun: true, wasmBinary }));
  return opening;
}

/** The decoder makes an ImageData, which Node lacks; nobody else shall believe that it has one. */
function withImageData(work) {
  const own = globalThis.ImageData;
  globalThis.ImageData = class {
    constructor(data, width, height) {
      Object.assign(this, { data, width, height });
    }
  };
  try {
    return work();
  } finally {
    if (own) globalThis.ImageData = own;
    else delete globalThis.ImageData;
  }
}

/** onnxruntime-web's build for Node, which finds its .wasm file by path; Node has no GPU for it. */
export const importRuntime = () => import("onnxruntime-web");

/** {data, width, height} -> an object of ImageData's shape */
export const toImage = (rgba) => ({ ...rgba, colorSpace: "srgb" });
