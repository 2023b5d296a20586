/** Quantised latents <-> bytes, group by group.  symbols (int16) + index (uint8) -> payload.
 *
 *     z      Int16Array Z * h/4 * w/4    rows by channel (zRow), and by its neighbours where the tables have a context
 *     first  Int16Array N * h * w        indexFirst
 *     second Int16Array N * h * w        indexSecond
 *
 * h, w: the valid part of the group. Integers only; the coder is in the C core. docs/format.md, sections 5 to 7. */
import { CorruptError } from "./errors.js";
import { concat } from "./source.js";
import { PASSES } from "./tables.js";

/** [Z] the row of each channel of z at this level. */
const rowsOf = ({ z, zRow }, level) => zRow.subarray(level * z, (level + 1) * z);

/** -> [Z, h, w], the row of each symbol of z where its neighbours do not matter. */
function repeated(rows, size) {
  const index = new Uint8Array(rows.length * size);
  rows.forEach((row, c) => index.fill(row, c * size, (c + 1) * size));
  return index;
}

/** z [Z, height, width] -> what is coded for it, and the rows. With a context: of five passes, one after the other. */
function symbolsOfZ(core, tables, level, z, { height, width }) {
  const rows = rowsOf(tables, level);
  if (!tables.contextAt) return { symbols: z, index: repeated(rows, height * width) };
  return core.scope(() => {
    const count = PASSES * z.length;
    const [from, rowsAt] = [core.put(z), core.put(rows)];
    const [symbols, index, where] = [core.alloc(2 * count), core.alloc(count), core.alloc(4)];
    const given = [tables.contextAt, rowsAt, from, height, width];
    const status = core.api.aecodec_z_symbols(...given, symbols, index, where);
    const unit = core.statusName(status) === "BAD_INDEX" ? "channel" : "symbol";
    core.checkCall(status, "z", unit, core.u32(where, 1)[0]);
    return { symbols: core.i16(symbols, count).slice(), index: core.u8(index, count).slice() };
  });
}

/** The payload of one group. tables: of loadTables; size: height and width of z. UsageError for what cannot be coded. */
export function encodeGroup(core, tables, level, z, size, first, indexFirst, second, indexSecond) {
  return core.scope(() => {
    const ofZ = symbolsOfZ(core, tables, level, z, size);
    const index = core.put(concat([ofZ.index, indexFirst, indexSecond]));
    const count = ofZ.symbols.length + first.length + second.length;
    const symbols = core.alloc(2 * count);
    const into = core.i16(symbols, count);
    into.set(ofZ.symbols);
    into.set(first, ofZ.symbols.length);
    into.set(second, ofZ.symbols.length + first.length);
    const capacity = core.api.aecodec_group_bound(count);
    const [out, written, where] = [core.alloc(capacity), core.alloc(4), core.alloc(4)];
    const status = core.api.aecodec_group_encode(
      tables.at,
      symbols,
      index,
      count,
      -1,
      out,
      capacity,
      written,
      where,
    );
    core.checkCall(status, "group", "symbol", core.u32(where, 1)[0]);
    return core.u8(out, core.u32(written, 1)[0]).slice();
  });
}

/** One payload being decoded: z(), first(), second(), finish(), in this order, since each depends on the one before.
 *
 * It lives in the core's memory, so it ends with the scope or the instance. CorruptError for a damaged payload. */
export class GroupReader {
  constructor(core, tables, payload) {
    this.core = core;
    this.tables = tables;
    this.decoder = core.alloc(core.api.web_decoder_size());
    const at = core.put(payload);
    this.#check(core.api.aecodec_decoder_init(this.decoder, tables.at, at, payload.length, -1));
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

  /** size: height and width of the group's z. */
  z(level, { height, width }) {
    const { core, tables } = this;
    const rows = rowsOf(tables, level);
    if (!tables.contextAt) return this.#read(repeated(rows, height * width));
    return core.scope(() => {
      const count = rows.length * height * width;
      const [context, rowsAt] = [tables.contextAt, core.put(rows)];
      const [out, mean, rest, index] = [2, 2, 2, 1].map((bytes) => core.alloc(bytes * count));
      const scratch = [mean, rest, index];
      this.#check(
        core.api.aecodec_decoder_decode_z(this.decoder, context, rowsAt, height, width, out, ...scratch),
      );
      return core.i16(out, count).slice();
    });
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
