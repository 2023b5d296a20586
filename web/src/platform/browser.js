/** What a browser has of its own, and its workers; node.js beside it has the same names. See "imports" in package.json. */

/** Relative names of folders begin here. */
export const base = () => globalThis.location.href;

/** Reads nothing: a page has no files. */
export const readFile = null;

/** A WebP without alpha -> {data, width, height}, RGBA, by the browser itself. Rejects where it is damaged. */
export async function decodeWebp(webp) {
  // Both options: the numbers that were coded are wanted, neither managed nor multiplied by anything.
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(new Blob([webp], { type: "image/webp" }), options);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** onnxruntime-web for "wasm" or "webgpu". */
export function importRuntime(kind) {
  return kind === "webgpu" ? import("onnxruntime-web/webgpu") : import("onnxruntime-web/wasm");
}

/** {data, width, height} -> ImageData */
export const toImage = ({ data, width, height }) => new ImageData(data, width, height);
