/** What a browser has of its own, and its workers; node.js beside it has the same names. See "imports" in package.json. */

/** Relative names of folders begin here. */
export const base = () => globalThis.location.href;

/** Reads nothing: a page has no files. */
export const readFile = null;

export { decodeWebp } from "./canvas.js";

/** onnxruntime-web for "wasm" or "webgpu". */
export function importRuntime(kind) {
  return kind === "webgpu" ? import("onnxruntime-web/webgpu") : import("onnxruntime-web/wasm");
}

/** {data, width, height} -> ImageData */
export const toImage = ({ data, width, height }) => new ImageData(data, width, height);
