// What is open on the page stays whole: files that cannot be read, or that come too late, change nothing of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodePng } from "../src/index.js";
import { choose, compared, SKIP as skip, text, withPage } from "./browser.mjs";
import { onDisk } from "./disk.mjs";
import { golden } from "./golden.mjs";

/** The tag of what is on the left, as it is after somebody has chosen another picture and come back. */
async function original(page) {
  await page.select("#left", "aec");
  await page.select("#left", "original");
  return text(page, "#left-tag");
}

async function savedAs(page) {
  await page.click("#save-aec");
  return text(page, "#status");
}

test("a file that cannot be read leaves the open picture's name, size and reduced copy", { skip }, () =>
  withPage(async (page, { problems, base }) => {
    await page.goto(`${base}?model=tests/data/bundles/tiny`);
    const samples = new Uint8Array(2048 * 2000).map((_, p) => ((p % 2048) + p / 2048) / 17);
    await choose(page, onDisk("large.png", await encodePng(samples, 2048, 2000, 1)));
    await page.waitForSelector("#work:not([hidden])");
    const tag = await original(page);
    for (const [name, data, message] of [
      ["words.txt", "no picture", "cannot read that file"],
      ["broken.aec", golden("invalid", "group_crc"), "is damaged"],
    ]) {
      await choose(page, onDisk(name, data));
      const said = (wanted) => document.getElementById("error").textContent.includes(wanted);
      await page.waitForFunction(said, {}, message);
      assert.equal(await original(page), tag);
      assert.equal(await savedAs(page), "large.aec saved");
    }
    await page.click("#reduce");
    const reduced = () => document.getElementById("facts").textContent.includes("1431 × 1398, grey");
    await page.waitForFunction(reduced);
    assert.ok(await page.$eval("#error", ({ hidden }) => hidden));
    assert.deepEqual(problems, []);
  }),
);

test("a picture that is read after the next one was opened is dropped", { skip }, () =>
  withPage(async (page, { problems, base }) => {
    await page.goto(`${base}?model=tests/data/bundles/tiny`);
    await page.evaluate(() => {
      const own = createImageBitmap;
      const late = new Promise((resolve) => (globalThis.comes = resolve));
      globalThis.createImageBitmap = async (source, ...options) => {
        const bitmap = await own(source, ...options);
        if (source.name !== "late.png") return bitmap;
        globalThis.asked = true;
        await late;
        return bitmap;
      };
    });
    await choose(page, onDisk("late.png", await encodePng(new Uint8Array(100 * 50), 100, 50, 1)));
    await page.waitForFunction(() => globalThis.asked);
    await choose(page, onDisk("next.aec", golden("valid", "rgb_64x64")));
    await compared(page);
    const tag = await original(page);
    await page.evaluate(() => {
      comes();
      return new Promise((resolve) => setTimeout(resolve, 200));
    });
    assert.equal(await original(page), tag);
    assert.equal(await page.$eval("#left-canvas", ({ width }) => width), 64);
    assert.equal(await savedAs(page), "next.aec saved");
    assert.deepEqual(problems, []);
  }),
);
