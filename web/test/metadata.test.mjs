// Metadata with the preset dictionary, against node's own zlib.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import zlib from "node:zlib";
import { dictionary, inflateMetadata } from "../src/metadata.js";

const known = Buffer.from(dictionary());
const profile = new Uint8Array(known.subarray(-3144));
const packed = (data, words = known) => new Uint8Array(zlib.deflateSync(data, { dictionary: words }));

test("the dictionary is the one of the format", () => {
  const digest = createHash("sha256").update(known).digest("hex");
  assert.equal(digest, "d54f4f0c8926bf519da9827fed757530ae5fcd0d56684bd0b9cb04028797f531");
});

test("streams with and without it", async () => {
  for (const data of [profile, profile.subarray(100), new Uint8Array(0), Uint8Array.of(1, 2, 3)]) {
    assert.deepEqual(await inflateMetadata("iCCP", packed(data), 3144), data.slice());
    assert.deepEqual(
      await inflateMetadata("iCCP", new Uint8Array(zlib.deflateSync(data)), 3144),
      data.slice(),
    );
  }
  assert.ok(packed(profile).length < 60);
});

test("another dictionary, damage, and more than is allowed", async () => {
  const other = packed(Buffer.from("another time"), Buffer.from("another"));
  const corrupt = (message) => ({ name: "CorruptError", message });
  await assert.rejects(inflateMetadata("xMPd", other, 100), corrupt(/another dictionary/));
  await assert.rejects(inflateMetadata("iCCP", packed(profile), 3143), { name: "LimitError" });
  const whole = packed(profile);
  for (let end = 0; end < whole.length; end++) {
    await assert.rejects(inflateMetadata("iCCP", whole.subarray(0, end), 3144), { name: "CorruptError" });
  }
  const junk = new Uint8Array(9);
  for (const stream of [whole, new Uint8Array(zlib.deflateSync(profile))]) {
    const end = stream.length - 4;
    for (const longer of [
      [stream, junk],
      [stream, junk, stream.subarray(end)],
      [stream.subarray(0, end), junk, stream.subarray(end)],
    ]) {
      const bad = new Uint8Array(Buffer.concat(longer));
      await assert.rejects(inflateMetadata("iCCP", bad, 3144), { name: "CorruptError" });
    }
  }
  for (const [method, check] of [
    [0x79, 0x20],
    [0x88, 0x20],
    [0xf8, 0x20],
  ]) {
    const bad = whole.slice();
    bad[0] = method;
    bad[1] = check + ((31 - ((method * 256 + check) % 31)) % 31);
    await assert.rejects(inflateMetadata("iCCP", bad, 3144), corrupt(/not a valid zlib stream/));
  }
  for (let bit = 0; bit < 8 * whole.length; bit++) {
    const bad = whole.slice();
    bad[bit >> 3] ^= 1 << (bit & 7);
    const found = await inflateMetadata("iCCP", bad, 3144).catch((error) => error);
    if (found instanceof Uint8Array)
      assert.deepEqual(found, profile); // a bit that says nothing of the data
    else assert.match(found.name, /^(CorruptError|LimitError)$/);
  }
});
