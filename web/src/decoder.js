/** The way back: decodeFile(), a shape beside each line, as decode() in aecodec/datapath.py.
 *
 *     .aec -> groups -rANS, scales-> zHat, symbols -synthesis-> xHat -> picture
 *
 * Only integers decide how bytes are read, so every machine reads the same symbols; the synthesis only decides how
 * the picture looks. Names of shapes as in encoder.js. */
import { latentSize, levelOf } from "./container.js";
import { covered, pasteBlocks } from "./blocks.js";
import { BATCH, sidesOf } from "./encoder.js";
import { checkZ, GroupReader } from "./entropy.js";
import { CorruptError, FormatError } from "./errors.js";
import { Groups } from "./groups.js";
import { emptySamples, fromNetwork } from "./pixels.js";
import { applyFilter } from "./post_filter.js";
import { unpackSections } from "./sections.js";
import { loadTables } from "./tables.js";
import { cut, inner, windows } from "./windows.js";

/**
 * @param {import("./codec.js").Model} model
 * @param {import("./container.js").Parsed} parsed
 * @param {(share: number) => void} progress
 * @returns {Promise<import("./codec.js").Decoded>}
 */
export async function decodeFile(model, core, parsed, limits, progress = () => {}) {
  const { header } = parsed;
  const { bundle, networks, largest } = model;
  if (header.groupEdge > bundle.group) {
    throw new FormatError(
      `groups of ${header.groupEdge} positions; those of model ${bundle.name} have ${bundle.group} at most`,
    );
  }
  const { codedAlpha, filter, ...extras } = await unpackSections(core, parsed, limits);
  const [h, w] = latentSize(header);
  const groups = new Groups([h, w], header.groupEdge, bundle.group);
  const { symbols, zHat, crc } = await decodeSymbols(model, core, parsed, groups, (share) =>
    progress(0.3 * share),
  );

  const { width, height, channels, depth } = header;
  const picture = { width, height, channels, depth, samples: emptySamples(header) };
  const size = { height: h / 4, width: w / 4 };
  const views = windows(size, bundle.halo.synthesis, largest);
  const hidden = covered(groups, parsed.blocks);
  for (const [i, window] of views.entries()) {
    if (!cut(hidden, 1, size, inner(window), 1).every(Boolean)) {
      const part = cut(symbols, bundle.n, size, window, 4, Float32Array); // [N, h', w'] of the window
      const zPart = cut(zHat, bundle.z, size, window, 1, Float32Array);
      const xHat = await networks.synthesis(part, zPart, sidesOf(window, 4), header.quality / 256); // [3, H', W']
      fromNetwork(filter ? applyFilter(filter, xHat, sidesOf(window, 64)) : xHat, picture, window);
    }
    progress(0.3 + (0.7 * (i + 1)) / views.length);
  }
  await pasteBlocks(picture, groups, parsed.blocks);
  if (codedAlpha) extras.alpha = (await decodeFile(model, core, codedAlpha, limits)).samples;
  return { ...picture, ...extras, orientation: header.orientation, symbolsCrc: crc, model: bundle.name };
}

/** -> symbols Int16Array [N, h, w], zHat Int16Array [Z, h/4, w/4], their checksum, which must be the header's. */
async function decodeSymbols(model, core, { header, groups: payloads }, groups, progress) {
  const { bundle, networks } = model;
  const { n, z: nz } = bundle;
  const level = levelOf(header);
  const { height: h, width: w } = groups.size;
  const symbols = new Int16Array(n * h * w);
  const zHat = new Int16Array((nz * h * w) / 16);
  const tables = loadTables(core, model.tables);
  const { top } = core;
  for (const batch of groups.batches(BATCH, (number) => payloads[number].length)) {
    core.top = top; // the readers of the batch before
    const readers = batch.map((number) => new GroupReader(core, tables, payloads[number]));
    const z = readers.map((reader, g) => {
      return checkZ(reader.z(level, groups.sizeOfZ(batch[g])), batch[g]); // [Z, vh/4, vw/4] each
    });
    const mask = groups.mask(batch); // [G, 1, e/4, e/4]
    const found = await networks.scalesFirst(groups.pad(z, nz, batch, 4), mask, batch.length, level);
    const first = readers.map((reader, g) => reader.half(groups.valid(found.index, n, batch, g))); // [N, vh, vw]
    const padded = groups.pad(first, n, batch); // [G, N, e, e]
    const index = await networks.scalesSecond(found.features, padded, mask, batch.length, level); // [G, N, e, e]
    readers.forEach((reader, g) => {
      const second = reader.half(groups.valid(index, n, batch, g)); // [N, vh, vw]
      reader.finish();
      const y = second.map((symbol, i) => symbol + first[g][i]); // the halves do not overlap
      groups.paste(y, symbols, n, batch[g]);
      groups.paste(z[g], zHat, nz, batch[g], 4);
    });
    progress((batch.at(-1) + 1) / groups.all.length);
  }
  const crc = groups.all.reduce((sum, _, number) => {
    const [z, y] = [groups.cut(zHat, nz, number, 4), groups.cut(symbols, n, number)];
    return core.crc32c(y, core.crc32c(z, sum));
  }, 0);
  if (crc !== header.symbolsCrc) {
    const hexOf = (value) => value.toString(16).padStart(8, "0");
    throw new CorruptError(
      `the decoded symbols have checksum ${hexOf(crc)}, the header says ${hexOf(header.symbolsCrc)}: ` +
        "the file is damaged, or was not made by the model that it names",
    );
  }
  return { symbols, zHat, crc };
}
