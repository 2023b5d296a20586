/** ImageData <-> samples, and samples <-> what the float networks see, window by window.
 *
 *     samples  [H, W, C] of 8 or 16 bits, C 1 or 3      x, x_hat  Float32Array [3, h, w] in 0..1 */
import { InputError, LimitError } from "./errors.js";

const LUMA = [0.299, 0.587, 0.114];

/**
 * @typedef {object} Picture  A picture as it is coded, orientation not applied.
 * @property {number} width
 * @property {number} height
 * @property {1|3} channels
 * @property {8|16} depth
 * @property {Uint8Array|Uint8ClampedArray|Uint16Array} samples
 * @property {Uint8Array|Uint8ClampedArray|Uint16Array} [alpha]  [H, W] of the same depth
 */

/** ImageData -> Picture. Grey where every pixel that shows is; alpha only where some pixel is not opaque.
 *
 * withAlpha: false leaves alpha out, so that every pixel shows. */
export function fromImageData(image, limits, withAlpha = true) {
  const { width, height, data } = image ?? {};
  const bytes = data instanceof Uint8Array || data instanceof Uint8ClampedArray;
  if (!bytes || !(width >= 1 && height >= 1) || data.length !== 4 * width * height) {
    throw new InputError("an ImageData is needed: width, height, and data of 4 bytes a pixel");
  }
  if (width * height > limits.maxPixels || Math.max(width, height) > limits.maxSide) {
    throw new LimitError(
      `the picture has ${width} x ${height} pixels; the limits are ${limits.maxPixels} pixels and sides of ` +
        `${limits.maxSide} (pass larger limits to accept it)`,
    );
  }
  let [grey, opaque] = [true, true];
  for (let i = 0; i < data.length && (grey || opaque); i += 4) {
    const hidden = withAlpha && data[i + 3] === 0;
    grey &&= hidden || (data[i] === data[i + 1] && data[i] === data[i + 2]);
    opaque &&= !withAlpha || data[i + 3] === 255;
  }
  const channels = grey ? 1 : 3;
  const samples = new Uint8Array(width * height * channels);
  const alpha = opaque ? undefined : new Uint8Array(width * height);
  for (let p = 0; p < width * height; p++) {
    for (let c = 0; c < channels; c++) samples[p * channels + c] = data[4 * p + c];
    if (alpha) alpha[p] = data[4 * p + 3];
  }
  return { width, height, channels, depth: 8, samples, alpha };
}

/** Picture -> {data, width, height} with 4 bytes a pixel, as ImageData has them. */
export function toRgba({ width, height, channels, depth, samples, alpha }) {
  const data = new Uint8ClampedArray(4 * width * height);
  const eight = depth === 8 ? (value) => value : (value) => ((value + 128) / 257) | 0;
  for (let p = 0; p < width * height; p++) {
    for (let c = 0; c < 3; c++) data[4 * p + c] = eight(samples[p * channels + (channels === 3 ? c : 0)]);
    data[4 * p + 3] = alpha ? eight(alpha[p]) : 255;
  }
  return { data, width, height };
}

/** A window of the picture, in blocks of 64 pixels -> x; beyond the picture its last row and column repeat. */
export function toNetwork({ width, height, channels, depth, samples }, { row, column }) {
  const [h, w] = [64 * (row.last - row.first), 64 * (column.last - column.first)];
  const x = new Float32Array(3 * h * w);
  const unit = 1 / (2 ** depth - 1);
  for (let y = 0; y < h; y++) {
    const line = Math.min(64 * row.first + y, height - 1) * width;
    for (let i = 0; i < w; i++) {
      const from = (line + Math.min(64 * column.first + i, width - 1)) * channels;
      for (let c = 0; c < 3; c++) x[(c * h + y) * w + i] = samples[from + (channels === 3 ? c : 0)] * unit;
    }
  }
  return x;
}

/** The inner part of a window's x_hat -> samples of the picture; grey is the luma. */
export function fromNetwork(xHat, { width, height, channels, depth, samples }, { row, column }) {
  const largest = 2 ** depth - 1;
  const [outerH, outerW] = [64 * (row.last - row.first), 64 * (column.last - column.first)];
  const [bottom, right] = [Math.min(64 * row.stop, height), Math.min(64 * column.stop, width)];
  const plane = outerH * outerW;
  for (let y = 64 * row.start; y < bottom; y++) {
    let from = (y - 64 * row.first) * outerW + 64 * (column.start - column.first);
    for (let x = 64 * column.start; x < right; x++, from++) {
      const to = (y * width + x) * channels;
      if (channels === 1) {
        const luma = LUMA[0] * xHat[from] + LUMA[1] * xHat[from + plane] + LUMA[2] * xHat[from + 2 * plane];
        samples[to] = round(luma, largest);
      } else {
        for (let c = 0; c < 3; c++) samples[to + c] = round(xHat[from + c * plane], largest);
      }
    }
  }
}

const round = (value, largest) => Math.max(0, Math.min(largest, Math.round(value * largest)));

/** Samples of the right type, still empty. */
export function emptySamples({ width, height, channels, depth }) {
  return new (depth === 8 ? Uint8Array : Uint16Array)(width * height * channels);
}

/** The picture turned so that it is upright; kind: 1..8, the EXIF meaning. -> RGBA as toRgba gives it. */
export function turn({ data, width, height }, kind) {
  if (kind === 1) return { data, width, height };
  const turned = kind >= 5;
  const [w, h] = turned ? [height, width] : [width, height];
  const [from, to] = [
    new Uint32Array(data.buffer, data.byteOffset, width * height),
    new Uint32Array(width * height),
  ];
  const [down, across] = [[3, 4, 7, 8].includes(kind), [2, 3, 6, 7].includes(kind)];
  for (let y = 0; y < h; y++) {
    const row = down ? h - 1 - y : y;
    for (let x = 0; x < w; x++) {
      const column = across ? w - 1 - x : x;
      to[y * w + x] = turned ? from[column * width + row] : from[row * width + column];
    }
  }
  return { data: new Uint8ClampedArray(to.buffer), width: w, height: h };
}
