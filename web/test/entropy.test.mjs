// Groups with a context of z: the bytes of the native library, which wrote tests/data/z_groups.json, both ways.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Core } from "../src/core.js";
import { encodeGroup, GroupReader } from "../src/entropy.js";
import { loadTables, parseTables } from "../src/tables.js";
import { TESTS, TINY } from "./golden.mjs";

const file = JSON.parse(readFileSync(new URL("data/z_groups.json", TESTS), "utf8"));
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const symbols = (text) => new Int16Array(bytes(text).buffer);
const tablesFile = () => bytes(file.tables);
const plainFile = () => new Uint8Array(readFileSync(new URL("tables.bin", TINY)));

const core = await Core.open();
const tables = loadTables(core, parseTables(core, tablesFile()));

/** The same bytes with a checksum that holds. */
function sealed(data) {
  const whole = Uint8Array.from([...data, 0, 0, 0, 0]);
  new DataView(whole.buffer).setUint32(data.length, core.crc32c(data), true);
  return whole;
}

/** tables.bin with one byte changed, and a checksum that holds. */
function changed(at, value, data = tablesFile()) {
  data[at] = value;
  return sealed(data.subarray(0, -4));
}

const refused = (data, message) =>
  assert.throws(() => parseTables(core, data), { name: "ModelError", message });

test("groups are coded to the bytes of the native library", () => {
  assert.ok(file.groups.length >= 7);
  for (const { level, height, width, payload, ...group } of file.groups) {
    const found = encodeGroup(
      core,
      tables,
      level,
      symbols(group.z),
      { height, width },
      symbols(group.first),
      bytes(group.index_first),
      symbols(group.second),
      bytes(group.index_second),
    );
    assert.deepEqual(found, bytes(payload), `${height} x ${width}`);
  }
});

test("payloads of the native library are decoded to its symbols", () => {
  // All readers at once, as the decoder has those of a batch.
  const readers = file.groups.map(({ payload }) => new GroupReader(core, tables, bytes(payload)));
  const z = file.groups.map(({ level, height, width }, g) => readers[g].z(level, { height, width }));
  file.groups.forEach((group, g) => {
    assert.deepEqual(z[g], symbols(group.z), `${group.height} x ${group.width}`);
    assert.deepEqual(readers[g].half(bytes(group.index_first)), symbols(group.first));
    assert.deepEqual(readers[g].half(bytes(group.index_second)), symbols(group.second));
    readers[g].finish();
  });
});

test("a z beyond 127 is refused, both ways", () => {
  assert.equal(file.beyond.length, 4);
  for (const { level, height, width, payload } of file.beyond) {
    const reader = new GroupReader(core, tables, bytes(payload));
    assert.throws(() => reader.z(level, { height, width }), {
      name: "CorruptError",
      message: /group payload: the data is damaged at byte/,
    });
  }
  const none = [new Int16Array(0), new Uint8Array(0)];
  for (const symbol of [128, -128]) {
    const z = new Int16Array(tables.z).fill(symbol);
    const encode = () => encodeGroup(core, tables, 0, z, { height: 1, width: 1 }, ...none, ...none);
    assert.throws(encode, { name: "UsageError" });
  }
});

test("rows that are none damage no file before there is one", () => {
  const { level, height, width, payload, ...group } = file.groups[4];
  const [z, first, second] = [group.z, group.first, group.second].map(symbols);
  const [indexFirst, indexSecond] = [group.index_first, group.index_second].map(bytes);
  const wrong = indexFirst.slice().fill(tables.nRows);
  const size = { height, width };
  const given = [level, z, size, first];
  assert.throws(() => encodeGroup(core, tables, ...given, wrong, second, indexSecond), {
    name: "UsageError",
    message: /^group: an index is not a row of the tables at symbol \d+ \(BAD_INDEX\)$/,
  });
  const other = { ...tables, zRow: tables.zRow.slice().fill(tables.nRows) };
  assert.throws(() => encodeGroup(core, other, ...given, indexFirst, second, indexSecond), {
    name: "UsageError",
    message: "z: an index is not a row of the tables at channel 0 (BAD_INDEX)",
  });
  // In a file it means that another model made it.
  const reader = new GroupReader(core, tables, bytes(payload));
  assert.deepEqual(reader.z(level, size), z);
  assert.throws(() => reader.half(wrong), { name: "CorruptError", message: /BAD_INDEX/ });
});

test("a cut payload is refused", () => {
  const { level, height, width, payload } = file.groups[4];
  const data = bytes(payload);
  for (let cut = 0; cut < data.length; cut += 11) {
    const read = () => {
      const reader = new GroupReader(core, tables, data.subarray(0, cut));
      reader.z(level, { height, width });
      reader.half(bytes(file.groups[4].index_first));
      reader.half(bytes(file.groups[4].index_second));
      reader.finish();
    };
    assert.throws(read, { name: "CorruptError" }, `${cut} bytes`);
  }
});

test("tables without a context stay what they were", () => {
  const plain = parseTables(core, plainFile());
  assert.equal(plain.context, null);
  assert.equal(loadTables(core, plain).contextAt, 0);
  assert.equal(plain.zRow.length, 64 * plain.z);
});

test("cut and damaged tables are refused", () => {
  const data = tablesFile();
  for (let cut = 0; cut < data.length - 4; cut += 3) {
    refused(data.subarray(0, cut), /^tables\.bin/);
    if (cut >= 8) refused(sealed(data.subarray(0, cut)), /within an array/);
  }
  for (let bit = 0; bit < 8 * data.length; bit += 5) {
    const damaged = data.slice();
    damaged[bit >> 3] ^= 1 << (bit & 7);
    refused(damaged, /not a table file|checksum/);
  }
  refused(sealed(Uint8Array.from([...data.subarray(0, -4), 0])), /1 bytes too many/);
});

test("wrong tables are refused", () => {
  const [nRows, skip, z] = [tables.nRows, tables.skip, tables.z];
  const [zRowAt, lowestAt] = [8 + 33 * nRows, 8 + 33 * nRows + 64 * z];
  const { lowest } = tables.context;
  assert.equal(tablesFile()[lowestAt], lowest);
  assert.ok(parseTables(core, changed(lowestAt + 1, 77)).context, "the checksum is made anew");
  for (const row of [skip, lowest - 1, nRows]) refused(changed(zRowAt + 7, row), /a row of z/);
  // With as many sizes as belong to it: only the rule itself can find it.
  const head = tablesFile().subarray(0, lowestAt);
  const tail = tablesFile().subarray(lowestAt + 1 + 2 * (nRows - lowest), -4);
  const from = (row) =>
    sealed(Uint8Array.from([...head, row, ...new Array(2 * (nRows - row)).fill(1), ...tail]));
  assert.equal(parseTables(core, from(skip)).context.lowest, skip);
  refused(from(skip - 1), /a row of z is skipped/);
  refused(from(lowest + 1), /a row of z/);
  refused(from(nRows), /context of z/);
  refused(changed(lowestAt, 255), /context of z/);
  refused(changed(6, 0), /skip is 0/);
  refused(changed(3, "D".charCodeAt()), /not a table file/);
  refused(changed(3, "B".charCodeAt()), /bytes too many/);
  refused(changed(3, "C".charCodeAt(), plainFile()), /within an array|context of z/);
});
