/** The groups of a file: sections GIDX, GDAT and BLOK <-> where each group's payload lies.
 *
 * docs/format.md, section 4. Sections have been found, and their checksums verified, by container.js. */
import { groupGrid } from "./container.js";
import { AecodecError, CorruptError } from "./errors.js";

/** Every group's {begin, size, crc}. CorruptError when the index does not fit the picture or GDAT. */
export function findGroups(core, at, where, header) {
  for (const tag of ["GIDX", "GDAT"]) if (!where[tag]) throw new CorruptError(`there is no section ${tag}`);
  const [rows, columns] = groupGrid(header);
  const count = rows * columns;
  const { offset, size } = where.GIDX;
  const parts = [];
  const needed = `${count} groups are needed`;
  if (Math.floor(size / 5) < count)
    throw new CorruptError(`section GIDX: ${size} bytes are too few; ${needed}`);
  core.scope(() => {
    const [entries, total, failed] = [core.alloc(8 * count), core.alloc(8), core.alloc(4)];
    const status = core.api.aecodec_group_index_read(at + offset, size, entries, count, total, failed);
    try {
      core.check(status, "group index", "byte", core.u32(failed, 1)[0]);
    } catch (error) {
      throw error instanceof AecodecError
        ? new CorruptError(`section GIDX: ${error.message}; ${needed}`)
        : error;
    }
    let begin = where.GDAT.offset;
    const words = core.u32(entries, 2 * count);
    for (let g = 0; g < count; g++) {
      parts.push({ begin, size: words[2 * g], crc: words[2 * g + 1] });
      begin += words[2 * g];
    }
    const sum = begin - where.GDAT.offset;
    if (sum !== where.GDAT.size) {
      throw new CorruptError(`section GDAT has ${where.GDAT.size} bytes, but the groups of GIDX have ${sum}`);
    }
  });
  return parts;
}

/** How many of each group's bytes, the last ones, are its pixel blocks: 0 without a section BLOK. */
export function blockSizes(file, where, parts) {
  if (!where.BLOK) return parts.map(() => 0);
  const { offset, size } = where.BLOK;
  const sizes = unpackSizes(file.subarray(offset, offset + size), parts.length);
  sizes.forEach((own, g) => {
    if (own > parts[g].size) {
      throw new CorruptError(
        `section BLOK: ${own} bytes of blocks in group ${g}, which has ${parts[g].size}`,
      );
    }
  });
  if (!sizes.some(Boolean)) throw new CorruptError("section BLOK is there, but no group has pixel blocks");
  return sizes;
}

/** Varints, one after the other: docs/format.md, section 1. */
export function packSizes(sizes) {
  const packed = [];
  for (let size of sizes) {
    for (; size > 127; size >>>= 7) packed.push((size & 127) | 128);
    packed.push(size);
  }
  return Uint8Array.from(packed);
}

function unpackSizes(data, count) {
  const found = [];
  let value = 0;
  let shift = 0;
  for (const byte of data) {
    value += (byte & 127) * 2 ** shift; // may pass 2^31, where << would wrap
    shift += 7;
    if (byte < 128) {
      if ((byte === 0 && shift > 7) || value >= 2 ** 31) break;
      found.push(value);
      value = shift = 0;
    } else if (shift > 28) break;
  }
  if (shift || found.length !== count) {
    throw new CorruptError(`section BLOK does not hold one size for each of ${count} groups`);
  }
  return found;
}
