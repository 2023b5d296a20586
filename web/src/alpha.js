/** Colour that nobody sees made cheap: under alpha 0 it continues its surroundings, as aecodec/alpha.py does it.
 *
 * Push-pull (Gortler et al., The Lumigraph, SIGGRAPH 1996): known pixels are averaged down a pyramid until nothing
 * is unknown, then unknown ones take the value of the next coarser level on the way back. */

/** Samples [H, W, C] of 8 bits, alpha [H, W] -> samples; 0 where nothing is seen at all. */
export function hide({ width, height, channels, samples, alpha }) {
  if (!alpha || alpha.every(Boolean)) return samples;
  const out = new Uint8Array(samples.length);
  if (!alpha.some(Boolean)) return out;
  const weight = Float32Array.from(alpha, (value) => (value ? 1 : 0));
  for (let c = 0; c < channels; c++) {
    const total = Float32Array.from(weight, (known, p) => known * samples[p * channels + c]);
    const filled = fill(total, weight, width, height);
    for (let p = 0; p < weight.length; p++) {
      out[p * channels + c] = weight[p]
        ? samples[p * channels + c]
        : Math.max(0, Math.min(255, Math.round(filled[p])));
    }
  }
  return out;
}

/** weight 0..1: how far a value is known, total: weight * value -> values everywhere. */
function fill(total, weight, width, height) {
  if (weight.length === 1 || weight.every((known) => known === 1))
    return total.map((value, p) => value / weight[p]);
  const known = halve(weight, width, height);
  const share = known.map((sum) => Math.min(sum, 1) / Math.max(sum, 1e-6));
  const [w, h] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const sums = halve(total, width, height).map((sum, p) => sum * share[p]);
  const coarse = fill(
    sums,
    known.map((sum, p) => sum * share[p]),
    w,
    h,
  );
  let below = new Float32Array(width * height);
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p++) below[p] = coarse[(y >> 1) * w + (x >> 1)];
  }
  below = smooth(smooth(below, width, width, height), width, 1, width);
  return total.map((value, p) => value + (1 - weight[p]) * below[p]);
}

/** Sums over 2 x 2. */
function halve(a, width, height) {
  const w = Math.ceil(width / 2);
  const out = new Float32Array(w * Math.ceil(height / 2));
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p++) out[(y >> 1) * w + (x >> 1)] += a[p];
  }
  return out;
}

/** [1, 2, 1] / 4 along the axis of this step, the ends repeated: takes the steps out of a repeated level. */
function smooth(a, width, step, length) {
  return a.map((value, p) => {
    const at = step === 1 ? p % width : Math.floor(p / width);
    const before = at > 0 ? a[p - step] : value;
    const after = at < length - 1 ? a[p + step] : value;
    return (before + 2 * value + after) / 4;
  });
}
