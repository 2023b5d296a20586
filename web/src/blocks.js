/** Blocks of 64 x 64 pixels that are coded as pixels: docs/format.md, section 6.3.   payloads -> samples
 *
 * The image is a lossless WebP, which browsers read themselves; Node needs a package for it. */
import { decodeWebp } from "#platform";
import { AecodecError, CorruptError } from "./errors.js";

const BLOCK = 64;
const PER_ROW = 8;

/** The blocks of all groups into the picture's samples. */
export async function pasteBlocks(picture, groups, payloads) {
  for (const [number, payload] of payloads.entries()) {
    if (!payload.length) continue;
    if (picture.depth !== 8) {
      throw new CorruptError(`group ${number} has pixel blocks, which only pictures of 8 bits may have`);
    }
    const group = groups.all[number];
    const { places, webp } = readMask(payload, group, number);
    const [width, height] = [
      BLOCK * Math.min(places.length, PER_ROW),
      BLOCK * Math.ceil(places.length / PER_ROW),
    ];
    checkWebp(webp, width, height, number);
    const sheet = await decodeWebp(webp).catch((error) => {
      throw error instanceof AecodecError ? error : invalid(number, error.message);
    });
    if (sheet.width !== width || sheet.height !== height) throw invalid(number, "its size is another one");
    places.forEach(([row, column], k) => {
      const at = { from: BLOCK * Math.floor(k / PER_ROW) * width + BLOCK * (k % PER_ROW), stride: width };
      copyBlock(sheet.data, at, picture, 16 * group.top + BLOCK * row, 16 * group.left + BLOCK * column);
    });
  }
}

/** Where pixel blocks come over what the networks make: Uint8Array [h/4, w/4] of the latents' size, 1 in such places. */
export function covered(groups, payloads) {
  const across = groups.size.width / 4;
  const mask = new Uint8Array((groups.size.height / 4) * across);
  for (const [number, payload] of payloads.entries()) {
    if (!payload.length) continue;
    const { top, left } = groups.all[number];
    for (const [row, column] of readMask(payload, groups.all[number], number).places)
      mask[(top / 4 + row) * across + left / 4 + column] = 1;
  }
  return mask;
}

function readMask(payload, group, number) {
  const [rows, columns] = [group.height / 4, group.width / 4];
  const size = Math.ceil((rows * columns) / 8);
  const bit = (i) => (payload[i >> 3] >> (7 - (i & 7))) & 1;
  const places = [];
  let padding = 0;
  for (let i = 0; i < 8 * size; i++) {
    if (i >= rows * columns) padding |= bit(i);
    else if (bit(i)) places.push([Math.floor(i / columns), i % columns]);
  }
  if (payload.length < size || padding || !places.length) {
    throw new CorruptError(`group ${number}: the mask of its pixel blocks is not valid`);
  }
  return { places, webp: payload.subarray(size) };
}

const invalid = (number, why) =>
  new CorruptError(`group ${number}: its pixel blocks are not a valid WebP: ${why}`);

/** RIFF and VP8L heads (RFC 9649): a decoder may be content with less, or show what there is of a cut file. */
function checkWebp(webp, width, height, number) {
  const text = (at) => String.fromCharCode(...webp.subarray(at, at + 4));
  if (webp.length < 25 || text(0) !== "RIFF" || text(8) !== "WEBP")
    throw invalid(number, "it has no RIFF head");
  const view = new DataView(webp.buffer, webp.byteOffset, webp.length);
  if (text(12) !== "VP8L") throw new CorruptError(`group ${number}: its pixel blocks are no lossless WebP`);
  const size = view.getUint32(4, true) + 8;
  const chunk = view.getUint32(16, true);
  if (size !== webp.length || 20 + chunk + (chunk % 2) !== size)
    throw invalid(number, "its one chunk does not end where they do");
  const head = view.getUint32(21, true);
  const found = [(head & 0x3fff) + 1, ((head >> 14) & 0x3fff) + 1, (head >> 28) & 1 ? "RGBA" : "RGB"];
  if (webp[20] !== 0x2f || head >>> 29) throw invalid(number, "its head");
  if (found[0] !== width || found[1] !== height || found[2] !== "RGB") {
    throw new CorruptError(
      `group ${number}: its pixel blocks are a WebP of ${found[0]} x ${found[1]}, mode ${found[2]}; ` +
        `${width} x ${height}, mode RGB is needed`,
    );
  }
}

/** What of a block at (top, left) lies inside; a grey picture takes the red channel. */
function copyBlock(rgba, { from, stride }, { width, height, channels, samples }, top, left) {
  for (let y = 0; y < Math.min(BLOCK, height - top); y++) {
    for (let x = 0; x < Math.min(BLOCK, width - left); x++) {
      const [source, to] = [4 * (from + y * stride + x), ((top + y) * width + left + x) * channels];
      for (let c = 0; c < channels; c++) samples[to + c] = rgba[source + c];
    }
  }
}
