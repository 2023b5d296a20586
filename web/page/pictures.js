/** Pictures of any kind the browser knows <-> ImageData, and .aec files as pictures with the right colours. */
import { encodePng } from "../src/png.js";
import { toRgba, turn } from "../src/pixels.js";
import { readBitmap } from "../src/platform/canvas.js";
import { withOrientation } from "./exif.js";

const MAGIC = [0x89, 0x41, 0x45, 0x43, 0x0d, 0x0a, 0x1a, 0x0a];

export const isAec = (bytes) => MAGIC.every((byte, i) => bytes[i] === byte);

/** A picture file -> ImageData, upright and in sRGB, as the browser shows it. */
export async function readPicture(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    throw new Error("this browser cannot read that file as a picture; try PNG, JPEG, WebP or .aec");
  }
  return readBitmap(bitmap);
}

/** What the codec decoded -> ImageData, upright, 8 bits, in sRGB. */
export async function toImageData(picture) {
  if (picture.icc) {
    // The browser converts the colours of a PNG that carries the profile.
    const shown = await readPicture(new Blob([await toPng({ ...picture, exif: undefined, orientation: 1 })]));
    return imageData(turn(shown, picture.orientation));
  }
  return imageData(turn(toRgba(picture), picture.orientation));
}

const imageData = ({ data, width, height }) => new ImageData(data, width, height);

/** What the codec decoded -> PNG as stored, with all its depth and metadata; its EXIF states the picture's orientation. */
export async function toPng(picture) {
  const { width, height, channels, samples, alpha } = picture;
  const all = channels + (alpha ? 1 : 0);
  let merged = samples;
  if (alpha) {
    merged = new samples.constructor(width * height * all);
    for (let p = 0; p < width * height; p++) {
      for (let c = 0; c < channels; c++) merged[p * all + c] = samples[p * channels + c];
      merged[p * all + channels] = alpha[p];
    }
  }
  return encodePng(merged, width, height, all, await pngChunks(picture));
}

async function pngChunks({ icc, exif, xmp, dpi, orientation }) {
  const text = (value) => new TextEncoder().encode(value);
  const chunks = [];
  if (icc) chunks.push(["iCCP", bytes(text("ICC\0"), [0], await deflated(icc))]);
  if (dpi) {
    const view = new DataView(new ArrayBuffer(9));
    dpi.forEach((value, i) => view.setUint32(4 * i, Math.round(value / 0.0254)));
    view.setUint8(8, 1); // a metre
    chunks.push(["pHYs", new Uint8Array(view.buffer)]);
  }
  const stated = withOrientation(exif ?? new Uint8Array(), orientation, xmp);
  if (stated.length) chunks.push(["eXIf", stated]);
  if (xmp) chunks.push(["iTXt", bytes(text("XML:com.adobe.xmp"), [0, 0, 0, 0, 0], xmp)]);
  return chunks;
}

const bytes = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));

async function deflated(data) {
  const stream = new Blob([data]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** ImageData without transparency: over white, as a JPEG has to be. */
export function flatten(image) {
  const out = new ImageData(new Uint8ClampedArray(image.data), image.width, image.height);
  const { data } = out;
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3];
    if (alpha === 255) continue;
    for (let c = 0; c < 3; c++) data[i + c] = 255 + ((data[i + c] - 255) * alpha) / 255;
    data[i + 3] = 255;
  }
  return out;
}

/** dB between two pictures of one size, over white; infinite for equal ones. */
export function psnr(a, b) {
  const [one, two] = [flatten(a).data, flatten(b).data];
  let sum = 0;
  for (let i = 0; i < one.length; i += 4) {
    for (let c = 0; c < 3; c++) sum += (one[i + c] - two[i + c]) ** 2;
  }
  return sum ? 10 * Math.log10((255 ** 2 * 0.75 * one.length) / sum) : Infinity;
}
