/** The way there: encodeFile(), a shape beside each line, as encode() in aecodec/datapath.py.
 *
 *     picture -> x -analysis-> y, zHat -scales, context-> symbols, indices -rANS-> groups -> .aec
 *
 * h, w: positions of y; N, Z: channels; e: side of a group; G: groups run together. All arrays are flat. */
import { latentSize, levelOf, writeFile } from "./container.js";
import { encodeGroup } from "./entropy.js";
import { chooseEdge, Groups } from "./groups.js";
import { cut, paste, windows } from "./windows.js";
import { toNetwork } from "./pixels.js";
import { loadTables } from "./tables.js";

const SYMBOL_MAX = 32767;
/** Groups that go through the scale networks together. */
export const BATCH = 4;

/**
 * @param {import("./codec.js").Model} model
 * @param {import("./pixels.js").Picture} picture
 * @param {Record<string, Uint8Array>} sections all but those of the groups
 * @param {number} quality as stored: level * 256
 * @param {(share: number) => void} progress
 * @returns {Promise<Uint8Array>} the file
 */
export async function encodeFile(
  model,
  core,
  picture,
  sections,
  quality,
  orientation = 1,
  progress = () => {},
) {
  const { bundle } = model;
  const { width, height, channels, depth } = picture;
  const header = { width, height, channels, depth, quality, orientation, modelId: bundle.modelId };
  header.groupEdge = chooseEdge(latentSize(header), bundle.group);
  const { payloads, crc } = await encodeSymbols(model, core, header, picture, progress);
  return writeFile(core, { ...header, symbolsCrc: crc }, sections, payloads);
}

async function encodeSymbols(model, core, header, picture, progress) {
  const { bundle, networks, largest } = model;
  const { n, z: nz, halo } = bundle;
  const [level, quality] = [levelOf(header), header.quality / 256];
  const [h, w] = latentSize(header);
  const size = { height: h / 4, width: w / 4 }; // blocks
  const groups = new Groups([h, w], header.groupEdge, bundle.group);

  const y = new Float32Array(n * h * w); // [N, h, w]
  const zHat = new Float32Array((nz * h * w) / 16); // [Z, h/4, w/4]
  const views = windows(size, halo.analysis, largest);
  for (const [i, window] of views.entries()) {
    const x = toNetwork(picture, window); // [3, H', W'] of the window
    const found = await networks.analysis(x, sidesOf(window, 64), quality);
    paste(found.y, y, n, size, window, 4);
    paste(found.zHat, zHat, nz, size, window, 1);
    progress((0.5 * (i + 1)) / views.length);
  }

  const indexFirst = new Uint8Array(n * h * w); // [N, h, w]
  const features = []; // [G, S, e, e] a batch
  for (const batch of groups.batches(BATCH)) {
    const parts = batch.map((number) => groups.cut(zHat, nz, number, 4)); // [Z, vh/4, vw/4] each
    const zBatch = groups.pad(parts, nz, batch, 4); // [G, Z, e/4, e/4]
    const found = await networks.scalesFirst(zBatch, groups.mask(batch), batch.length, level);
    features.push(found.features);
    batch.forEach((number, g) => groups.paste(groups.valid(found.index, n, batch, g), indexFirst, n, number));
  }

  const first = new Int16Array(n * h * w); // [N, h, w], 0 on the second half
  const residual = new Float32Array(n * h * w); // [N, h, w], not rounded
  for (const window of windows(size, halo.context, largest)) {
    const [yPart, index] = [cut(y, n, size, window, 4), cut(indexFirst, n, size, window, 4)];
    const zPart = cut(zHat, nz, size, window, 1);
    const found = await networks.context(yPart, zPart, index, sidesOf(window, 4), quality);
    paste(found.first, first, n, size, window, 4);
    paste(found.residual, residual, n, size, window, 4);
  }
  progress(0.75);

  const tables = loadTables(core, model.tables);
  const payloads = [];
  let crc = 0;
  for (const batch of groups.batches(BATCH)) {
    const halves = batch.map((number) => groups.cut(first, n, number)); // [N, vh, vw] each
    const padded = groups.pad(halves, n, batch); // [G, N, e, e]
    const mask = groups.mask(batch);
    const index = await networks.scalesSecond(features.shift(), padded, mask, batch.length, level); // [G, N, e, e]
    batch.forEach((number, g) => {
      const z = Int16Array.from(groups.cut(zHat, nz, number, 4)); // [Z, vh/4, vw/4]
      const indexOne = groups.cut(indexFirst, n, number); // [N, vh, vw]
      const indexTwo = groups.valid(index, n, batch, g); // [N, vh, vw]
      const second = round(groups.cut(residual, n, number), indexTwo, bundle.rounding); // [N, vh, vw]
      const size = groups.sizeOfZ(number);
      payloads.push(encodeGroup(core, tables, level, z, size, halves[g], indexOne, second, indexTwo));
      crc = core.crc32c(
        second.map((symbol, i) => symbol + halves[g][i]),
        core.crc32c(z, crc),
      );
    });
    progress(0.75 + (0.25 * payloads.length) / groups.all.length);
  }
  return { payloads, crc };
}

/** Height and width of a window in positions of `scale` a block. */
export function sidesOf({ row, column }, scale) {
  return [(row.last - row.first) * scale, (column.last - column.first) * scale];
}

/** Towards zero by the dead zone of each scale: aecodec/datapath.py, _round. */
function round(residual, index, rounding) {
  const symbols = new Int16Array(residual.length);
  for (let i = 0; i < residual.length; i++) {
    const size = Math.floor(Math.fround(Math.abs(residual[i]) + rounding[index[i]]));
    const clipped = Math.max(0, Math.min(SYMBOL_MAX, size));
    symbols[i] = residual[i] < 0 ? -clipped : clipped;
  }
  return symbols;
}
