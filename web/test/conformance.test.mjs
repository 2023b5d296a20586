// The golden files in Node: symbols as the native library reads them, pixels within one level, damage refused.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Codec, info } from "../src/index.js";
import { distance, golden, goldenPicture, INVALID, TINY, VALID } from "./golden.mjs";

const codec = new Codec({ models: [TINY], device: "wasm", threads: 1 });

test("there are golden files", () => {
  assert.ok(VALID.length >= 27 && INVALID.length >= 120);
});

for (const [name, crc] of VALID) {
  test(`valid ${name}`, async () => {
    const data = golden("valid", name);
    const picture = await codec.read(data);
    assert.equal(picture.symbolsCrc, parseInt(crc, 16));
    assert.ok(distance(picture, goldenPicture(name)) <= (picture.depth === 8 ? 1 : 16));
    assert.equal((await info(data)).symbols_crc32c, crc);
  });
}

for (const [name, error] of INVALID) {
  test(`invalid ${name}`, async () => {
    await assert.rejects(codec.read(golden("invalid", name)), (thrown) => {
      assert.equal(thrown.name, error, thrown.message);
      // The rule itself finds it, not a checksum further on.
      if (!name.includes("crc")) assert.doesNotMatch(thrown.message, /checksum/);
      return true;
    });
  });
}

test("info says of sections that do not fit what decoding says", async () => {
  for (const name of ["blok_16_bits", "alpha_twice", "alpha_not_announced"]) {
    const data = golden("invalid", name);
    const { message } = await codec.read(data).catch((error) => error);
    await assert.rejects(info(data), { name: "CorruptError", message });
  }
});

test("metadata of a golden file", async () => {
  const { icc, exif, xmp, dpi, orientation } = await codec.read(golden("valid", "metadata"));
  assert.deepEqual([orientation, dpi], [6, [300, 72.009]]);
  assert.equal(new TextDecoder().decode(icc.subarray(36, 40)), "acsp");
  assert.equal(new TextDecoder().decode(exif.subarray(0, 2)), "II");
  assert.match(new TextDecoder().decode(xmp), /^<x:xmpmeta/);
});

test("orientation is applied, or not", async () => {
  const data = golden("valid", "metadata"); // 24 x 16, orientation 6: the left column becomes the top row
  const [stored, upright] = [await codec.decode(data, { applyOrientation: false }), await codec.decode(data)];
  assert.deepEqual([stored.width, stored.height, upright.width, upright.height], [24, 16, 16, 24]);
  const at = ({ data: rgba, width }, x, y) => [
    ...rgba.subarray(4 * (y * width + x), 4 * (y * width + x) + 4),
  ];
  assert.deepEqual(at(upright, 15, 0), at(stored, 0, 0));
  assert.deepEqual(at(upright, 0, 0), at(stored, 0, 15));
  assert.deepEqual(at(upright, 15, 23), at(stored, 23, 0));
});

for (const name of ["blocks_cut", "blocks_left", "blocks_two_chunks"]) {
  test(`${name}: the message says what is wrong with the WebP`, async () => {
    const message =
      /^group \d+: its pixel blocks are not a valid WebP: its one chunk does not end where they do$/;
    await assert.rejects(codec.read(golden("invalid", name)), { name: "CorruptError", message });
  });
}
