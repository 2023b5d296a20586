// Limits that a caller states: none wraps round in the core's integers, and what is no limit is refused.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Codec, DEFAULT_LIMITS, info } from "../src/index.js";
import { golden, TINY } from "./golden.mjs";

const data = golden("valid", "rgb_1x1");
const names = Object.keys(DEFAULT_LIMITS);
const codecWith = (limits) => new Codec({ models: [TINY], device: "wasm", threads: 1, limits });

for (const value of [2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 63, 2 ** 64, Number.MAX_VALUE, Infinity]) {
  test(`a limit of ${value} does not wrap round`, async () => {
    for (const name of names) assert.equal((await info(data, { [name]: value })).width, 1, name);
  });
}

test("a file is read without limits", async () => {
  const none = Object.fromEntries(names.map((name) => [name, Infinity]));
  const { width, alpha, icc } = await codecWith(none).read(golden("valid", "metadata"));
  assert.deepEqual([width, alpha, icc.length > 100], [24, undefined, true]);
});

test("undefined is the default, 0 allows nothing", async () => {
  for (const name of names) {
    assert.equal((await info(data, { [name]: undefined })).width, 1, name);
    assert.deepEqual(codecWith({ [name]: undefined }).limits, DEFAULT_LIMITS);
  }
  for (const name of ["maxPixels", "maxSide", "maxSections", "maxSectionSize", "maxGroups"]) {
    await assert.rejects(info(data, { [name]: 0 }), { name: "LimitError" }, name);
  }
});

for (const value of [1.5, NaN, -1, -Infinity, "7", null, true, 7n, [7]]) {
  test(`${typeof value} ${value} is no limit`, async () => {
    for (const name of names) {
      const refused = (error) =>
        error.name === "UsageError" &&
        error.message.startsWith(`limits: ${name} ${typeof value === "string" ? `"${value}"` : value}: `) &&
        error.message.endsWith("a whole number from 0 on, or Infinity, is needed");
      assert.throws(() => codecWith({ [name]: value }), refused);
      await assert.rejects(info(data, { [name]: value }), refused);
    }
  });
}
