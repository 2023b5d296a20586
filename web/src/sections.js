/** What a file has beside colours: alpha, profile, EXIF, XMP, resolution <-> sections.
 *
 *     metadata --packSections--> {tag: payload}          Parsed --unpackSections--> Extras
 *
 * A coded alpha plane (section ALPC) is a file inside the file; datapath.js decodes it. */
import { readFile } from "./container.js";
import { CorruptError, LimitError, UsageError } from "./errors.js";
import { deflate } from "./inflate.js";
import { inflateMetadata } from "./metadata.js";
import { hex } from "./models.js";
import { decodeGrey, encodePng } from "./png.js";
import { filterOf, unpackFilter } from "./post_filter.js";

const DPI_UNIT = 10_000;
/** As in aecodec/modes.py. */
const [MIN_DPI, MAX_DPI] = [0.01, 400_000];
const METADATA = { iCCP: "icc", eXIF: "exif", xMPd: "xmp" };

/** icc, exif, xmp: bytes, `limit` at most of each; dpi: [across, down]; alpha: Uint8Array [H, W] -> payloads by tag. */
export async function packSections({ icc, exif, xmp, dpi, alpha, width, height, limit }) {
  const sections = {};
  for (const [tag, name, data] of [
    ["iCCP", "profile", icc],
    ["eXIF", "EXIF data", exif],
    ["xMPd", "XMP", xmp],
  ]) {
    if (data?.length > limit) {
      throw new LimitError(
        `the picture's ${name}: ${data.length} bytes, the limit is ${limit} ` +
          "(leave it out, or pass a larger maxMetadata to encoder and decoder)",
      ); // decoders would refuse it
    }
    if (data?.length) sections[tag] = await deflate(data);
  }
  if (dpi !== undefined && dpi !== null) sections.rESo = packResolution(dpi);
  if (alpha) sections.ALPH = await encodePng(alpha, width, height, 1);
  return sections;
}

/**
 * @param {import("./container.js").Parsed} parsed
 * @returns {Promise<{alpha?: Uint8Array|Uint16Array, codedAlpha?: import("./container.js").Parsed, icc?: Uint8Array,
 *   exif?: Uint8Array, xmp?: Uint8Array, dpi?: [number, number], filter?: object[]}>}
 */
export async function unpackSections(core, parsed, limits) {
  const { header, sections } = parsed;
  const extras = {};
  if (sections.ALPH)
    extras.alpha = await decodeGrey(sections.ALPH, header.width, header.height, header.depth);
  if (sections.ALPC) extras.codedAlpha = codedAlpha(core, parsed, limits);
  for (const [tag, name] of Object.entries(METADATA)) {
    if (sections[tag]) extras[name] = await inflateMetadata(tag, sections[tag], limits.maxMetadata);
  }
  if (sections.rESo) extras.dpi = resolution(sections.rESo);
  if (sections.fILT) extras.filter = filterOf(unpackFilter(sections.fILT));
  return extras;
}

function packResolution(dpi) {
  const pair = [dpi[0], dpi[1]];
  const valid = (value) => Number.isFinite(value) && value >= MIN_DPI && value <= MAX_DPI;
  if (dpi.length !== 2 || !pair.every(valid)) {
    throw new UsageError(`dpi ${dpi}: two numbers from ${MIN_DPI} to ${MAX_DPI} are needed`);
  }
  const view = new DataView(new ArrayBuffer(8));
  pair.forEach((value, i) => view.setUint32(4 * i, Math.round(value * DPI_UNIT), true));
  return new Uint8Array(view.buffer);
}

function resolution(payload) {
  if (payload.length !== 8) throw new CorruptError(`section rESo: ${payload.length} bytes; 8 are needed`);
  const view = new DataView(payload.buffer, payload.byteOffset, 8);
  const [across, down] = [view.getUint32(0, true), view.getUint32(4, true)];
  if (!across || !down) throw new CorruptError("section rESo: a resolution of 0");
  return [across / DPI_UNIT, down / DPI_UNIT];
}

function codedAlpha(core, parsed, limits) {
  const inner = readFile(core, parsed.sections.ALPC, limits);
  const kind = ({ width, height, depth, modelId }) => `${width} ${height} ${depth} ${hex(modelId)}`;
  if (kind(inner.header) !== kind(parsed.header) || inner.header.channels !== 1) {
    throw new CorruptError("section ALPC: not a grey picture of the file's own size, depth and model");
  }
  if (inner.header.hasAlpha) throw new CorruptError("section ALPC: alpha has no alpha");
  return inner;
}
