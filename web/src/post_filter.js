/** The post-filter: 5x5 taps from colours to colours, found for one picture, as aecodec/post_filter.py.
 *
 *     section fILT --unpackFilter--> {contrasts, scaled} --filterOf--> {taps, offsets};   xHat --applyFilter--> xHat */
import { CorruptError } from "./errors.js";

/** Rows Y, Cb, Cr of JPEG's transform (ITU-T T.871), of R, G, B. */
const TO_YCC = [
  [0.299, 0.587, 0.114],
  [-0.168736, -0.331264, 0.5],
  [0.5, -0.418688, -0.081312],
];
/** Rows and columns from a pixel to those that a contrast compares with it. */
// prettier-ignore
const RINGS = [
  [[0, 1], [0, -1]],
  [[1, 0], [-1, 0]],
  [[1, 1], [1, -1], [-1, 1], [-1, -1]],
  [[0, 2], [0, -2]],
  [[2, 0], [-2, 0]],
  [[1, 2], [1, -2], [-1, 2], [-1, -2]],
  [[2, 1], [2, -1], [-2, 1], [-2, -1]],
  [[2, 2], [2, -2], [-2, 2], [-2, -2]],
];
/** Contrasts of a plane; sets of coefficients. */
const KINDS = [
  [3, 1],
  [8, 1],
  [3, 4],
  [8, 4],
];
const REACH = 2;
const FINEST = 12;
const LARGEST_BITS = 16;
const OFFSET = 0.25;

/** The payload of section fILT -> the coefficients of a pixel's features, for R, G, B: [sets][3][F]. */
export function unpackFilter(payload) {
  const [kind, second] = payload;
  const begins = payload.length >= 3 && kind < KINDS.length && (second & 15) <= FINEST && second < 128;
  if (!begins) throw new CorruptError("section fILT: not the beginning of a post-filter");
  const [contrasts, sets] = KINDS[kind];
  const [shift, order] = [second & 15, second >> 4];
  const end = 8 * payload.length;
  let at = 16;
  const bit = () => {
    if (at >= end) throw new CorruptError("section fILT ends within its coefficients");
    return (payload[at >> 3] >> (at++ & 7)) & 1;
  };
  const coefficient = () => {
    let size = order;
    while (!bit()) size++;
    if (size > LARGEST_BITS) throw new CorruptError("section fILT: a coefficient is too large");
    let number = 2 ** size - 2 ** order;
    for (let i = 0; i < size; i++) number += bit() << i;
    return (number & 1 ? (number + 1) / 2 : -number / 2) / 2 ** shift;
  };
  const list = (length, make) => Array.from({ length }, make);
  const scaled = list(sets, () => list(3, () => list(3 * contrasts + 4, coefficient)));
  let rest = end - at >= 8 ? 1 : 0;
  while (!rest && at < end) rest = bit();
  if (rest) throw new CorruptError("section fILT goes on behind its coefficients");
  return { contrasts, scaled };
}

/** -> for each place in a square of 2x2: taps {row, column, from, to, weight} from R, G, B to R, G, B, that are not
 * 0, and offsets [3]. */
export function filterOf({ contrasts, scaled }) {
  const sets = scaled.map((ofColours) => tapsOf(ofColours, contrasts));
  return [0, 1, 2, 3].map((place) => sets[place % sets.length]);
}

function tapsOf(ofColours, contrasts) {
  const taps = [];
  const offsets = [];
  ofColours.forEach((coefficients, to) => {
    const grid = new Float64Array(3 * 25); // from Y, Cb, Cr
    const add = (plane, [row, column], weight) =>
      (grid[25 * plane + 5 * (REACH + row) + REACH + column] += weight);
    const own = coefficients.slice(3 * contrasts, 3 * contrasts + 3);
    for (let plane = 0; plane < 3; plane++) {
      for (let ring = 0; ring < contrasts; ring++) {
        const weight = coefficients[plane * contrasts + ring];
        for (const place of RINGS[ring]) {
          add(plane, place, weight);
          add(plane, [0, 0], -weight);
        }
      }
      add(plane, [0, 0], own[plane]);
    }
    for (let at = 0; at < 25; at++) {
      for (let from = 0; from < 3; from++) {
        let weight = TO_YCC.reduce((sum, row, plane) => sum + grid[25 * plane + at] * row[from], 0);
        if (at === 12 && from === to) weight += 1;
        const [row, column] = [Math.floor(at / 5) - REACH, (at % 5) - REACH];
        if (weight) taps.push({ row, column, from, to, weight });
      }
    }
    // Planes count from the grey in the middle of their range.
    const middle = TO_YCC.map((row) => (row[0] + row[1] + row[2]) / 2);
    offsets[to] = OFFSET * coefficients.at(-1) - own.reduce((sum, weight, p) => sum + weight * middle[p], 0);
  });
  return { taps, offsets };
}

/** xHat Float32Array [3, H, W] in 0..1, H and W even -> the same, filtered; beyond its edges is the nearest pixel. */
export function applyFilter(filter, xHat, [height, width]) {
  const plane = height * width;
  const out = new Float32Array(3 * plane);
  filter.forEach(({ taps, offsets }, place) => {
    const [first, left] = [place >> 1, place & 1];
    for (let to = 0; to < 3; to++) {
      for (let y = first; y < height; y += 2) {
        for (let x = left; x < width; x += 2) out[to * plane + y * width + x] = offsets[to];
      }
    }
    for (const { row, column, from, to, weight } of taps) {
      for (let y = first; y < height; y += 2) {
        const source = from * plane + clamp(y + row, height) * width;
        const target = to * plane + y * width;
        for (let x = left; x < width; x += 2)
          out[target + x] += weight * xHat[source + clamp(x + column, width)];
      }
    }
  });
  for (let i = 0; i < out.length; i++) out[i] = Math.max(0, Math.min(1, out[i]));
  return out;
}

const clamp = (at, length) => (at < 0 ? 0 : at >= length ? length - 1 : at);
