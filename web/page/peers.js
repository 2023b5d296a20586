/** The same picture as JPEG, WebP and AVIF, at the number of bytes nearest to that of the .aec file. */
import { flatten, readPicture } from "./pictures.js";

/**
 * @typedef {object} Peer
 * @property {Blob} blob
 * @property {number} quality
 * @property {ImageData} image what the browser makes of it
 * @property {number} encodeMs of the last run, without the search
 * @property {number} decodeMs
 */

/** Quality with the size nearest to the target: sizes grow with it, as far as they do. */
async function search(target, encode) {
  let [low, high, best] = [0, 100, null];
  while (low <= high) {
    const quality = (low + high) >> 1;
    const begin = performance.now();
    const blob = await encode(quality);
    const found = { blob, quality, encodeMs: performance.now() - begin };
    const distance = ({ blob: { size } }) => Math.abs(Math.log(size / target));
    if (!best || distance(found) < distance(best)) best = found;
    if (blob.size > target) high = quality - 1;
    else low = quality + 1;
  }
  return best;
}

async function finish(found) {
  const begin = performance.now();
  const image = await readPicture(found.blob);
  return { ...found, image, decodeMs: performance.now() - begin };
}

/** @returns {Promise<Peer>} by the browser's own encoder. Rejects where it has none for this type. */
export async function browserPeer(type, image, target) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext("2d").putImageData(type === "image/jpeg" ? flatten(image) : image, 0, 0);
  const found = await search(target, async (quality) => {
    const blob = await canvas.convertToBlob({ type, quality: quality === 100 ? 0.995 : quality / 100 });
    if (blob.type !== type) throw new Error(`this browser does not write ${type.split("/")[1]}`);
    return blob;
  });
  return finish(found);
}

let avif;

/** @returns {Promise<Peer>} by libaom in WebAssembly, which is loaded at the first call. onStep: after each trial. */
export async function avifPeer(image, target, onStep) {
  avif ??= import("./avif.js").then(({ openAvif }) => openAvif());
  const encode = await avif.catch((error) => {
    avif = undefined;
    throw error;
  });
  let step = 0;
  const found = await search(target, async (quality) => {
    onStep(++step);
    return encode(image, quality);
  });
  return finish(found);
}
