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
    const shown = { string: `"${value}"`, object: value && `[${value}]` }[typeof value] ?? String(value);
    for (const name of names) {
      const refused = (error) =>
        error.name === "UsageError" &&
        error.message.startsWith(`limits: ${name} ${shown}: `) &&
        error.message.endsWith("a whole number from 0 on, or Infinity, is needed");
      assert.throws(() => codecWith({ [name]: value }), refused);
      await assert.rejects(info(data, { [name]: value }), refused);
    }
  });
}

test("null is the default, as undefined is", async () => {
  assert.deepEqual(codecWith(null).limits, DEFAULT_LIMITS);
  assert.equal((await info(data, null)).width, 1);
});

const listed = `an object with some of ${names.join(", ")} is needed`;

for (const limits of [
  { maxPixel: 5 },
  { maxpixels: 5 },
  { maxSide: 9, max_side: 5 },
  { toString: undefined },
]) {
  test(`${JSON.stringify(limits)} has a limit that there is not`, async () => {
    const unknown = Object.keys(limits).at(-1);
    const refused = { name: "UsageError", message: `limits: ${unknown} is unknown; ${listed}` };
    assert.throws(() => codecWith(limits), refused);
    await assert.rejects(info(data, limits), refused);
  });
}

for (const [limits, shown] of [
  [7, "7"],
  ["x", '"x"'],
  ["", '""'],
  [true, "true"],
  [0, "0"],
  [[], "[]"],
  [[7], "[7]"],
  [new Map([["maxPixels", 5]]), "[object Map]"],
]) {
  test(`limits ${shown}, ${typeof limits}, are none`, async () => {
    const refused = { name: "UsageError", message: `limits ${shown}: ${listed}` };
    assert.throws(() => codecWith(limits), refused);
    await assert.rejects(info(data, limits), refused);
  });
}
