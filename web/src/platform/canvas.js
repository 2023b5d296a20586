/** Pixels of what the browser decodes. Against fingerprinting some browsers add noise to what a canvas gives back, and
 * tell nobody: a picture that is known shows it. */
import { FormatError } from "../errors.js";

/** A lossless WebP of 16 x 16 pixels. */
const KNOWN = "UklGRjYAAABXRUJQVlA4TCkAAAAvD8ADAM1lRP9jF4WI/geIpm3+v7hUVU7OKkjbgA1RA93Zh5iA4K34LgA=";
const knownPixel = (x, y) => [11 * x + 5 * y, 255 - 7 * x - 9 * y, 3 * x + 13 * y, 255];

/** Both: the numbers that were coded are wanted, neither managed nor multiplied by anything. */
const AS_CODED = { colorSpaceConversion: "none", premultiplyAlpha: "none" };

/** ImageBitmap, which is closed -> ImageData */
export function readBitmap(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

const byCanvas = async (webp) =>
  readBitmap(await createImageBitmap(new Blob([webp], { type: "image/webp" }), AS_CODED));

async function byDecoder(webp) {
  const decoder = new ImageDecoder({ data: webp, type: "image/webp", ...AS_CODED });
  try {
    const { image } = await decoder.decode();
    const { width, height } = image.visibleRect;
    const data = new Uint8ClampedArray(4 * width * height);
    await image.copyTo(data, { format: "RGBA" }).finally(() => image.close());
    return { data, width, height };
  } finally {
    decoder.close();
  }
}

async function givesKnown(read) {
  const { data } = await read(Uint8Array.from(atob(KNOWN), (c) => c.charCodeAt(0)));
  return data.every((value, i) => value === knownPixel((i >> 2) % 16, i >> 6)[i % 4]);
}

let canvas, decoder;
/** Does a canvas give back what was drawn? */
export const isCanvasExact = () => (canvas ??= givesKnown(byCanvas));
const isDecoderExact = () => (decoder ??= givesKnown(byDecoder).catch(() => false)); // many browsers have none

export const NOISE =
  "this browser changes the pixels that pages read (protection against fingerprinting): " +
  "allow this page to read canvases and load it again, or take another browser";

/** A WebP without alpha -> {data, width, height}, RGBA, as it was coded. Rejects where it is damaged. */
export async function decodeWebp(webp) {
  if (await isCanvasExact()) return byCanvas(webp);
  if (await isDecoderExact()) return byDecoder(webp);
  throw new FormatError(NOISE);
}
