// png.js and inflate.js against an independent PNG library.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode } from "fast-png";
import { deflate, inflate } from "../src/inflate.js";
import { decodeGrey, encodePng } from "../src/png.js";

let seed = 7;
const random = (most) => (seed = (seed * 16807) % 2147483647) % most;
const noise = (Kind, length, most) => Kind.from({ length }, () => random(most));

for (const depth of [8, 16]) {
  for (const interlace of ["null", "Adam7"]) {
    for (const [width, height] of [
      [1, 1],
      [3, 2],
      [9, 13],
      [64, 5],
    ]) {
      test(`grey ${width} x ${height}, ${depth} bits, interlace ${interlace}`, async () => {
        const data = noise(depth === 8 ? Uint8Array : Uint16Array, width * height, 2 ** depth);
        const file = encode({ width, height, data, channels: 1, depth }, { interlace });
        assert.deepEqual(await decodeGrey(file, width, height, depth), data);
      });
    }
  }
}

test("every filter is undone", async () => {
  const [width, height] = [11, 5];
  const rows = noise(Uint8Array, height * (width + 1), 256);
  for (let y = 0; y < height; y++) rows[y * (width + 1)] = y; // filters 0 .. 4
  const plain = await encodePng(new Uint8Array(width * height), width, height, 1);
  const at = 8 + 25; // signature, IHDR
  const body = await deflate(rows);
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, body.length);
  const type = new TextEncoder().encode("IDAT");
  const file = Buffer.concat([
    plain.subarray(0, at),
    new Uint8Array(view.buffer),
    type,
    body,
    Buffer.alloc(4),
    plain.subarray(-12),
  ]);
  const wanted = decode(file).data; // which does not look at checksums
  const { crc32 } = await import("node:zlib");
  const sum = crc32 ? crc32(Buffer.concat([type, body])) : undefined;
  if (sum === undefined) return;
  file.writeUInt32BE(sum, at + 8 + body.length);
  assert.deepEqual(await decodeGrey(file, width, height, 8), Uint8Array.from(wanted));
});

for (const channels of [1, 2, 3, 4]) {
  for (const Kind of [Uint8Array, Uint16Array]) {
    test(`a PNG of ${channels} channels of ${8 * Kind.BYTES_PER_ELEMENT} bits is read by others`, async () => {
      const samples = noise(Kind, 17 * 6 * channels, 256 ** Kind.BYTES_PER_ELEMENT);
      const found = decode(await encodePng(samples, 17, 6, channels), { checkCrc: true });
      assert.deepEqual(
        [found.width, found.height, found.channels, found.depth],
        [17, 6, channels, 8 * Kind.BYTES_PER_ELEMENT],
      );
      assert.deepEqual(Array.from(found.data), Array.from(samples));
    });
  }
}

test("a zlib stream ends where it should", async () => {
  const data = noise(Uint8Array, 50_000, 4);
  const packed = await deflate(data);
  assert.deepEqual(await inflate("x", packed, data.length), data);
  await assert.rejects(inflate("x", packed, data.length - 1), { name: "LimitError" });
  for (const wrong of [
    packed.subarray(0, -1),
    packed.subarray(0, 20),
    Uint8Array.of(...packed, 0),
    noise(Uint8Array, 99, 256),
  ]) {
    await assert.rejects(inflate("x", wrong, 1e6), { name: "CorruptError" });
  }
});

test("a PNG that inflates without end is stopped", async () => {
  const bomb = await encodePng(new Uint8Array(3000 * 3000), 3000, 3000, 1);
  const small = await encodePng(new Uint8Array(16), 4, 4, 1);
  const file = Buffer.concat([small.subarray(0, 8 + 25), bomb.subarray(8 + 25)]);
  const message = "section ALPH: not a valid PNG: more than 20 bytes";
  await assert.rejects(decodeGrey(file, 4, 4, 8), { name: "CorruptError", message });
});

/** A chunk with its checksum, as encodePng writes it behind IHDR. */
const chunk = async (type, data) =>
  (await encodePng(new Uint8Array(1), 1, 1, 1, [[type, data]])).subarray(33, 33 + 12 + data.length);

test("IDAT chunks follow each other", async () => {
  const samples = noise(Uint8Array, 8 * 4, 256);
  const file = await encodePng(samples, 8, 4, 1);
  const [packed, end] = [file.subarray(33 + 8, -12 - 4), file.subarray(-12)];
  const [first, second] = [packed.subarray(0, 9), packed.subarray(9)];
  const empty = new Uint8Array();
  const files = async (...chunks) =>
    Buffer.concat([file.subarray(0, 33), ...(await Promise.all(chunks.map((one) => chunk(...one)))), end]);
  const text = ["tEXt", new TextEncoder().encode("a\0b")];
  for (const chunks of [
    [["IDAT", packed]],
    [text, ["IDAT", first], ["IDAT", empty], ["IDAT", second], text],
  ]) {
    assert.deepEqual(await decodeGrey(await files(...chunks), 8, 4, 8), samples);
  }
  for (const chunks of [
    [["IDAT", first], text, ["IDAT", second]],
    [["IDAT", empty], text, ["IDAT", packed]],
    [["IDAT", packed], text, ["IDAT", empty]],
  ]) {
    await assert.rejects(decodeGrey(await files(...chunks), 8, 4, 8), {
      name: "CorruptError",
      message: "section ALPH: not a valid PNG: its IDAT chunks do not follow each other",
    });
  }
});

for (const [what, at, methods] of [
  ["compression", 10, [1, 8, 255]],
  ["filter", 11, [1, 64, 255]],
  ["interlace", 12, [2, 3, 255]],
]) {
  test(`${what} methods that PNG does not have`, async () => {
    // One pixel, so that interlacing changes nothing.
    const file = await encodePng(Uint8Array.of(77), 1, 1, 1);
    const withMethod = async (method) => {
      const head = file.slice(16, 29);
      head[at] = method;
      return Buffer.concat([file.subarray(0, 8), await chunk("IHDR", head), file.subarray(33)]);
    };
    for (let method = 0; method <= (what === "interlace" ? 1 : 0); method++)
      assert.deepEqual(await decodeGrey(await withMethod(method), 1, 1, 8), Uint8Array.of(77));
    for (const method of methods) {
      await assert.rejects(decodeGrey(await withMethod(method), 1, 1, 8), {
        name: "CorruptError",
        message: `section ALPH: not a valid PNG: ${what} method ${method}`,
      });
    }
  });
}
