/** Bytes of an .aec file <-> header, sections and group payloads: docs/format.md, sections 2 to 4.
 *
 *     Header + sections + payloads --writeFile--> bytes --readFile--> Parsed
 *
 * The parsing itself is in the C core; this module gives it names, limits and messages. */
import { CorruptError, LimitError } from "./errors.js";
import { FREE_PIXELS } from "./limits.js";
import { findGroups, blockSizes, packSizes } from "./group_data.js";
import { concat } from "./source.js";

export const HEADER_SIZE = 41;
const OWN_TAGS = ["BLOK", "GIDX", "GDAT"];
const FLAG_ALPHA = 1;
const U32 = 2 ** 32 - 1;
/** The largest number below 2^64: more pixels than two sides of 32 bits can have. */
const U64 = 2 ** 64 - 2 ** 11;

/**
 * @typedef {object} Header  The fixed header; sizes are the stored picture's, before its orientation is applied.
 * @property {number} width
 * @property {number} height
 * @property {number} channels  1 grey, 3 RGB
 * @property {number} depth  8 or 16
 * @property {number} quality  level * 256
 * @property {Uint8Array} modelId  8 bytes
 * @property {number} symbolsCrc
 * @property {number} orientation  1..8 as in EXIF
 * @property {boolean} hasAlpha
 * @property {boolean} hasIcc
 * @property {number} groupEdge  positions of y
 * @property {number} version
 *
 * @typedef {object} Parsed  A file taken apart; payloads are views of the caller's bytes.
 * @property {Header} header
 * @property {Record<string, Uint8Array>} sections  by tag, without those of OWN_TAGS
 * @property {{tag: string, offset: number, size: number}[]} list  every section, in file order
 * @property {Uint8Array[]} groups  coded symbols, in raster order
 * @property {Uint8Array[]} blocks  pixel blocks, the same way; empty where there are none
 */

/** The integer level 0..63 that selects tables: round half up. */
export const levelOf = (header) => (header.quality + 128) >> 8;

/** Height and width of y. */
export const latentSize = ({ height, width }) => [Math.ceil(height / 64) * 4, Math.ceil(width / 64) * 4];

/** Rows and columns of groups. */
export function groupGrid(header) {
  return latentSize(header).map((side) => Math.ceil(side / header.groupEdge));
}

/** Header of the file at `at`, `size` bytes long, in the core's memory. */
function headerAt(core, at, size, limits) {
  const fields = core.alloc(13 * 4);
  const id = core.alloc(8);
  const where = core.alloc(4);
  const status = core.api.web_header_read(
    at,
    size,
    BigInt(Math.min(limits.maxPixels, U64)),
    Math.min(limits.maxSide, U32),
    Math.min(limits.maxGroups, U32),
    fields,
    id,
    where,
  );
  if (core.statusName(status) === "LIMIT") {
    const sides = new DataView(core.api.memory.buffer, at + 10, 8);
    throw new LimitError(
      `the picture has ${sides.getUint32(0, true)} x ${sides.getUint32(4, true)} pixels; the limits are ` +
        `${limits.maxPixels} pixels, sides of ${limits.maxSide} and ${limits.maxGroups} groups ` +
        "(pass larger limits to accept it)",
    );
  }
  core.check(status, "header", "byte", core.u32(where, 1)[0]);
  const [
    version,
    flags,
    width,
    height,
    channels,
    depth,
    orientation,
    colour,
    quality,
    symbolsCrc,
    groupEdge,
  ] = core.u32(fields, 13);
  const modelId = core.u8(id, 8).slice();
  const [hasAlpha, hasIcc] = [(flags & FLAG_ALPHA) !== 0, colour === 1];
  return {
    version,
    width,
    height,
    channels,
    depth,
    orientation,
    quality,
    symbolsCrc,
    groupEdge,
    modelId,
    hasAlpha,
    hasIcc,
  };
}

function sectionsAt(core, at, size, limits, unreadGdat = false) {
  const capacity = Math.min(Math.floor(size / 9) + 1, limits.maxSections + 1); // a section takes 9 bytes at least
  const list = core.alloc(12 * capacity);
  const [count, where] = [core.alloc(4), core.alloc(4)];
  const status = core.api.web_sections_read(
    at,
    size,
    Math.min(limits.maxSections, U32),
    Math.min(limits.maxSectionSize, U32),
    unreadGdat ? 1 : 0,
    list,
    capacity,
    count,
    where,
  );
  core.check(status, "sections", "byte", core.u32(where, 1)[0]);
  return Array.from({ length: core.u32(count, 1)[0] }, (_, i) => {
    const [, offset, length] = core.u32(list + 12 * i, 3);
    return { tag: String.fromCharCode(...core.u8(list + 12 * i, 4)), offset, size: length };
  });
}

/** Decoding takes time for each pixel: a file that asks for much of it must be long, too. */
function checkWork(header, size, { maxPixelsPerByte }) {
  const { width, height } = header;
  const [h, w] = latentSize(header);
  const pixels = 256 * h * w; // padded, as they are coded
  if (pixels > FREE_PIXELS && pixels > maxPixelsPerByte * size)
    throw new LimitError(
      `${size} bytes stand for ${width} x ${height} pixels; the limit is ${maxPixelsPerByte} pixels a byte ` +
        "(pass a larger limit to accept it)",
    );
}

/**
 * Takes a file apart and verifies every checksum. Pixels and symbols are not touched.
 * @param {import("./core.js").Core} core
 * @param {Uint8Array} data
 * @returns {Parsed}
 */
export function readFile(core, data, limits) {
  return core.scope(() => {
    const at = core.put(data);
    const header = headerAt(core, at, data.length, limits);
    let list;
    try {
      list = sectionsAt(core, at, data.length, limits);
    } catch (error) {
      const better = error instanceof CorruptError && explain(core, at, data.length, header, limits);
      throw better ? new CorruptError(better) : error;
    }
    checkWork(header, data.length, limits);
    const where = Object.fromEntries(list.map((section) => [section.tag, section]));
    checkFlags(header, where);
    const parts = findGroups(core, at, where, header);
    const damage = parts.map((part, g) => damageOf(core, at, data.length, part, g)).find(Boolean);
    if (damage) throw new CorruptError(damage);
    const own = blockSizes(core.u8(at, data.length), where, parts);
    const cut = ({ begin, size }, from, to) => data.subarray(begin + from, begin + Math.min(to, size));
    return {
      header,
      list,
      sections: Object.fromEntries(
        list
          .filter(({ tag }) => !OWN_TAGS.includes(tag))
          .map(({ tag, offset, size }) => [tag, data.subarray(offset, offset + size)]),
      ),
      groups: parts.map((part, g) => cut(part, 0, part.size - own[g])),
      blocks: parts.map((part, g) => cut(part, part.size - own[g], part.size)),
    };
  });
}

function damageOf(core, at, size, part, group) {
  const end = part.begin + part.size;
  if (end > size)
    return `group ${group} ends at byte ${end}, but the file has ${size} bytes; the file is cut short`;
  if (core.api.aecodec_crc32c(0, at + part.begin, part.size) >>> 0 === part.crc) return "";
  return `group ${group}, which ends at byte ${end} of ${size}, is damaged: its checksum does not match`;
}

/** A better message when the damage lies in GDAT: which group it hits. Empty when it does not. */
function explain(core, at, size, header, limits) {
  try {
    const list = sectionsAt(core, at, size, limits, true);
    const where = Object.fromEntries(list.map((section) => [section.tag, section]));
    const parts = findGroups(core, at, where, header);
    return parts.map((part, g) => damageOf(core, at, size, part, g)).find(Boolean) ?? "";
  } catch {
    return "";
  }
}

function checkFlags(header, where) {
  if (where.BLOK && header.depth !== 8) {
    throw new CorruptError(
      `section BLOK is there, but the picture has ${header.depth} bits; pixel blocks need 8 bits`,
    );
  }
  if (where.ALPH && where.ALPC)
    throw new CorruptError("sections ALPH and ALPC are both there; a picture has one alpha");
  const rules = [
    [where.ALPC ? "ALPC" : "ALPH", header.hasAlpha, "flags"],
    ["iCCP", header.hasIcc, "colour"],
  ];
  for (const [tag, announced, field] of rules) {
    if (announced && !where[tag]) {
      throw new CorruptError(`header: ${field} announces a section ${tag}, but the file has none`);
    }
    if (!announced && where[tag]) {
      throw new CorruptError(`section ${tag} is there, but the header's ${field} does not announce it`);
    }
  }
}

/**
 * The whole file. sections: payloads by tag, already packed; hasAlpha and hasIcc follow from them.
 * @param {Omit<Header, "hasAlpha"|"hasIcc"|"version">} header
 * @param {Record<string, Uint8Array>} sections
 * @param {Uint8Array[]} groups
 * @param {Uint8Array[]} [blocks]
 */
export function writeFile(core, header, sections, groups, blocks = []) {
  const parts = [packHeader(core, header, sections)];
  for (const [tag, payload] of Object.entries(sections)) parts.push(...frame(core, tag, payload));
  if (blocks.some((block) => block.length)) {
    parts.push(...frame(core, "BLOK", packSizes(blocks.map((block) => block.length))));
    groups = groups.map((group, g) => concat([group, blocks[g]]));
  }
  parts.push(...frame(core, "GIDX", groupIndex(core, groups)), ...frame(core, "GDAT", concat(groups)));
  return concat(parts);
}

function packHeader(core, header, sections) {
  const alpha = "ALPH" in sections || "ALPC" in sections;
  const { width, height, channels, depth, orientation, quality, symbolsCrc, groupEdge } = header;
  const colour = "iCCP" in sections ? 1 : 0;
  const flags = alpha ? FLAG_ALPHA : 0;
  const fields = [
    1,
    flags,
    width,
    height,
    channels,
    depth,
    orientation,
    colour,
    quality,
    symbolsCrc,
    groupEdge,
  ];
  return core.scope(() => {
    const out = core.alloc(HEADER_SIZE);
    const status = core.api.web_header_write(
      core.put(Uint32Array.from(fields)),
      core.put(header.modelId),
      out,
    );
    core.check(status, "header", "byte", 0);
    return core.u8(out, HEADER_SIZE).slice();
  });
}

/** Head, payload and checksum of a section. */
function frame(core, tag, payload) {
  return core.scope(() => {
    const name = core.put(new TextEncoder().encode(tag));
    const body = core.put(payload);
    const [head, headSize, tail] = [core.alloc(9), core.alloc(4), core.alloc(4)];
    const status = core.api.aecodec_section_frame(name, body, payload.length, head, headSize, tail);
    core.check(status, `section ${tag}`, "byte", 0);
    return [core.u8(head, core.u32(headSize, 1)[0]).slice(), payload, core.u8(tail, 4).slice()];
  });
}

function groupIndex(core, groups) {
  const entries = groups.flatMap((group) => [group.length, core.crc32c(group)]);
  return core.scope(() => {
    const from = core.put(Uint32Array.from(entries));
    const capacity = 9 * groups.length;
    const [out, written] = [core.alloc(capacity), core.alloc(4)];
    const status = core.api.aecodec_group_index_write(from, groups.length, out, capacity, written);
    core.check(status, "group index", "byte", 0);
    return core.u8(out, core.u32(written, 1)[0]).slice();
  });
}
