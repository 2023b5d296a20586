/** The golden files of tests/conformance, and models, for tests. Not itself a test. */
import { readFileSync } from "node:fs";
import { decode as decodePng } from "fast-png";
import { SHIPPED } from "../src/models.js";

export const TESTS = new URL("../../tests/", import.meta.url);
export const TINY = new URL("data/bundles/tiny/", TESTS);
export const BUNDLES = new URL("../../aecodec/bundles/", import.meta.url);
/** Of the shipped models, the default first. */
export const PLACES = SHIPPED.map((name) => new URL(`${name}/`, BUNDLES));
const HOME = new URL("conformance/", TESTS);

/** [name, checksum of the symbols or name of the error] of one table of the README there. */
function table(title) {
  const text = readFileSync(new URL("README.md", HOME), "utf8").split(`## ${title}\n`)[1].split("\n## ")[0];
  return [...text.matchAll(/^\| (\w+)\.aec \| (\w+) \|/gm)].map(([, name, second]) => [name, second]);
}

export const VALID = table("valid");
export const INVALID = table("invalid");
export const golden = (folder, name) => readFileSync(new URL(`${folder}/${name}.aec`, HOME));

/** The picture that belongs to a valid file: {width, height, channels (with alpha), depth, data}. */
export const goldenPicture = (name) => decodePng(readFileSync(new URL(`valid/${name}.png`, HOME)));

/** How far the decoded samples, alpha included, are from it at most; NaN for another kind of picture. */
export function distance({ width, height, channels, depth, samples, alpha }, wanted) {
  const all = channels + (alpha ? 1 : 0);
  if (
    String([width, height, all, depth]) !==
    String([wanted.width, wanted.height, wanted.channels, wanted.depth])
  )
    return NaN;
  let most = 0;
  for (let p = 0; p < width * height; p++) {
    for (let c = 0; c < all; c++) {
      const found = c < channels ? samples[p * channels + c] : alpha[p];
      most = Math.max(most, Math.abs(found - wanted.data[p * all + c]));
    }
  }
  return most;
}

/** A gradient with a disc: RGBA; change alters pixels: (x, y, rgba) => void. */
export function scene(width, height, change = () => {}) {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2;
      const pixel = inside ? [220, 90, 60, 255] : [60 + (150 * x) / width, 90 + (100 * y) / height, 140, 255];
      change(x, y, pixel);
      data.set(pixel, 4 * (y * width + x));
    }
  }
  return { data, width, height };
}

export function psnr(a, b, every = (i) => i % 4 < 3) {
  let [sum, count] = [0, 0];
  a.data.forEach((value, i) => {
    if (!every(i)) return;
    sum += (value - b.data[i]) ** 2;
    count++;
  });
  return 10 * Math.log10((255 ** 2 * count) / sum);
}
