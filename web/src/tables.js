/** The integer distributions of a model, tables.bin, as docs/format.md, section 7, has them.
 *
 *     AETB   rows, shifts, and for each level and channel of z a row
 *     AETC   the same, and what the neighbours of z say about it (section 5.1) */
import { ModelError } from "./errors.js";

const LEVELS = 64;
const ROW = 16;
/** Of the context of z: passes over a group, classes of the neighbours' sizes, classes of their sum. */
export const PASSES = 5;
const [SIZES, ACTIVITIES] = [7, 5];
const [PLAIN, WITH_CONTEXT] = ["AETB", "AETC"];
const HEAD = 8;
const INSTALL = "install the model again";

/** tables.bin -> the integer distributions of a model. ModelError when they are damaged or not valid. */
export function parseTables(core, data) {
  if (data.length < HEAD + 4)
    throw new ModelError(`tables.bin: ${data.length} bytes are too few; ${INSTALL}`);
  const magic = String.fromCharCode(...data.subarray(0, 4));
  if (magic !== PLAIN && magic !== WITH_CONTEXT)
    throw new ModelError(`tables.bin: not a table file; ${INSTALL}`);
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  if (core.crc32c(data.subarray(0, -4)) !== view.getUint32(data.length - 4, true))
    throw new ModelError(`tables.bin: the checksum does not match; ${INSTALL}`);
  const [nRows, skip, z] = [view.getUint16(4, true), data[6], data[7]];
  const take = fields(data.subarray(0, -4), HEAD);
  const [rows, shifts, zRow] = [take(2 * ROW * nRows), take(nRows), take(LEVELS * z)];
  const context = magic === WITH_CONTEXT ? takeContext(take, nRows, z) : null;
  take.end();
  if (skip < 1)
    throw new ModelError("tables: skip is 0, but index 0 must be skipped (it marks the other half)");
  const lowest = context ? context.lowest : skip;
  if (lowest < skip || zRow.some((row) => row < lowest || row >= nRows))
    throw new ModelError("tables: a row of z is skipped or does not exist");
  return { rows, shifts, nRows, skip, z, zRow, context };
}

/** What the neighbours that are decoded before a symbol of z say about it: bytes for web_z_context_init. */
function takeContext(take, nRows, z) {
  const [lowest] = take(1);
  if (lowest >= nRows) throw new ModelError("context of z: its arrays do not fit together");
  return {
    lowest,
    size: take(2 * (nRows - lowest)),
    weight: take((PASSES - 1) * z),
    activity: take(2 * (ACTIVITIES - 1)),
    step: take(PASSES * SIZES * ACTIVITIES),
  };
}

/** Arrays one after the other, as bytes: little-endian, as WebAssembly is. */
function fields(data, at) {
  const take = (size) => {
    if (at + size > data.length)
      throw new ModelError(`tables.bin ends at byte ${data.length}, within an array; ${INSTALL}`);
    at += size;
    return data.slice(at - size, at);
  };
  take.end = () => {
    if (at !== data.length)
      throw new ModelError(`tables.bin: ${data.length - at} bytes too many; ${INSTALL}`);
  };
  return take;
}

/** Tables made ready in the memory of one core: the same with their address, and that of the context or 0. */
export function loadTables(core, tables) {
  const { nRows, skip, z, context } = tables;
  const at = core.alloc(core.api.web_tables_size());
  core.scope(() => {
    const where = core.alloc(4);
    const [rows, shifts] = [core.put(tables.rows), core.put(tables.shifts)];
    const status = core.api.aecodec_tables_init(at, rows, shifts, nRows, skip, where);
    if (status) throw new ModelError(`tables: row ${core.u32(where, 1)[0]}: ${core.statusName(status)}`);
  });
  return { ...tables, at, contextAt: context ? loadContext(core, context, z, nRows) : 0 };
}

/** The core keeps the addresses of the first two arrays, so no scope may let go of them. */
function loadContext(core, { lowest, size, weight, activity, step }, z, nRows) {
  const at = core.alloc(core.api.web_z_context_size());
  const arrays = [size, weight, activity, step].map((array) => core.put(array));
  const status = core.api.web_z_context_init(at, z, lowest, nRows, ...arrays);
  if (status) throw new ModelError(`tables: context of z: ${core.statusName(status)}`);
  return at;
}
