/** Quantised latents <-> bytes, group by group.  symbols (int16) + index (uint8) -> payload.
 *
 *     z      Int16Array Z * h/4 * w/4    rows by channel (zRow)
 *     first  Int16Array N * h * w        indexFirst
 *     second Int16Array N * h * w        indexSecond
 *
 * h, w: the valid part of the group. Integers only; the coder is in the C core. docs/format.md, sections 5 to 7. */
import { CorruptError, ModelError } from "./errors.js";
import { concat } from "./source.js";

const LEVELS = 64;
const ROW = 16;

/** tables.bin -> the integer distributions of a model. ModelError when they are damaged or not valid. */
export function parseTables(core, data) {
  const again = "install the model again";
  if (data.length < 12) throw new ModelError(`tables.bin: ${data.length} bytes are too few; ${again}`);
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const [nRows, skip, z] = [view.getUint16(4, true), data[6], data[7]];
  const size = 8 + nRows * (2 * ROW + 1) + LEVELS * z + 4;
  if (String.fromCharCode(...data.subarray(0, 4)) !== "AETB" || data.length !== size) {
    throw new ModelError(`tables.bin: not a table file of ${size} bytes; ${again}`);
  }
  if (core.crc32c(data.subarray(0, -4)) !== view.getUint32(size - 4, true)) {
    throw new ModelError(`tables.bin: the checksum does not match; ${again}`);
  }
  const [shiftsAt, zAt] = [8 + 2 * ROW * nRows, 8 + (2 * ROW + 1) * nRows];
  const rows = data.slice(8, shiftsAt); // little-endian, as WebAssembly is
  const zRow = data.slice(zAt, size - 4);
  if (skip < 1)
    throw new ModelError("tables: skip is 0, but index 0 must be skipped (it marks the other half)");
  if (zRow.some((row) => row < skip || row >= nRows)) {
    throw new ModelError("tables: a row of z is skipped or does not exist");
  }
  return { rows, shifts: data.slice(shiftsAt, zAt), nRows, skip, z, zRow };
}

/** Tables made ready in the memory of one core -> their address. */
export function loadTables(core, tables) {
  const at = core.alloc(core.api.web_tables_size());
  core.scope(() => {
    const where = core.alloc(4);
    const { nRows, skip } = tables;
    const [rows, shifts] = [core.put(tables.rows), core.put(tables.shifts)];
    const status = core.api.aecodec_tables_init(at, rows, shifts, nRows, skip, where);
    if (status) throw new ModelError(`tables: row ${core.u32(where, 1)[0]}: ${core.statusName(status)}`);
  });
  return at;
}

/** The row of each symbol of z: that of its channel, at this level. */
function rowsOfZ(tables, level, size) {
  const index = new Uint8Array(tables.z * size);
  for (let c = 0; c < tables.z; c++) index.fill(tables.zRow[level * tables.z + c], c * size, (c + 1) * size);
  return index;
}

/** The payload of one group. tablesAt: of loadTables. */
export function encodeGroup(core, tables, tablesAt, level, z, first, indexFirst, second, indexSecond) {
  return core.scope(() => {
    const zIndex = rowsOfZ(tables, level, z.length / tables.z);
    const index = core.put(concat([zIndex, indexFirst, indexSecond]));
    const count = z.length + first.length + second.length;
    const symbols = core.alloc(2 * count);
    const into = core.i16(symbols, count);
    into.set(z);
    into.set(first, z.length);
    into.set(second, z.length + first.length);
    const capacity = core.api.aecodec_group_bound(count);
    const [out, written, where] = [core.alloc(capacity), core.alloc(4), core.alloc(4)];
    const status = core.api.aecodec_group_encode(
      tablesAt,
      symbols,
      index,
      count,
      -1,
      out,
      capacity,
      written,
      where,
    );
    core.check(status, "group", "symbol", core.u32(where, 1)[0]);
    return core.u8(out, core.u32(written, 1)[0]).slice();
  });
}

/** One payload being decoded: z(), first(), second(), finish(), in this order, since each depends on the one before.
 *
 * It lives in the core's memory, so it ends with the scope or the instance. CorruptError for a damaged payload. */
export class GroupReader {
  constructor(core, tables, tablesAt, payload) {
    this.core = core;
    this.tables = tables;
    this.decoder = core.alloc(core.api.web_decoder_size());
    const at = core.put(payload);
    this.#check(core.api.aecodec_decoder_init(this.decoder, tablesAt, at, payload.length, -1));
  }

  #check(status) {
    if (status)
      this.core.check(status, "group payload", "byte", this.core.api.web_decoder_where(this.decoder));
  }

  #read(index) {
    const { core } = this;
    return core.scope(() => {
      const from = core.put(index);
      const out = core.alloc(2 * index.length);
      this.#check(core.api.aecodec_decoder_decode(this.decoder, from, out, index.length));
      return core.i16(out, index.length).slice();
    });
  }

  /** size: positions of the group's z. */
  z(level, size) {
    return this.#read(rowsOfZ(this.tables, level, size));
  }

  /** Either half: a symbol for each index, 0 where that is below skip. */
  half(index) {
    return this.#read(index);
  }

  /** CorruptError unless the payload ended exactly here. */
  finish() {
    this.#check(this.core.api.aecodec_decoder_finish(this.decoder));
  }
}

/** z symbols must lie where the scale networks are exact. */
export function checkZ(z, group) {
  if (z.some((symbol) => symbol > 127 || symbol < -127)) {
    throw new CorruptError(`group ${group}: a symbol of z is outside -127..127`);
  }
  return z;
}
