// Browsers that add noise to what a canvas gives back, against fingerprinting, as Brave and Firefox do.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decode as decodePng } from "fast-png";
import { choose, SKIP as skip, text, withPage } from "./browser.mjs";
import { onDisk } from "./disk.mjs";
import { distance, golden, goldenPicture, INVALID, TESTS } from "./golden.mjs";

const BLOCKS = onDisk("blocks.aec", golden("valid", "pixel_blocks_alone")); // no networks, so exact

/** In the page, and in the worker before its own script: 20 numbers of each picture change by a level, Firefox's least. */
function addNoise(decoder) {
  const change = (data) => {
    for (let k = 0; k < 20; k++) data[4 * ((k * 7919) % (data.length / 4)) + (k % 3)] ^= 1;
  };
  for (const { prototype } of [
    globalThis.OffscreenCanvasRenderingContext2D,
    globalThis.CanvasRenderingContext2D,
  ].filter(Boolean)) {
    const own = prototype.getImageData;
    prototype.getImageData = function (...place) {
      const image = own.apply(this, place);
      change(image.data);
      return image;
    };
  }
  if (decoder === "none") delete globalThis.ImageDecoder;
  if (decoder === "noise") {
    const own = VideoFrame.prototype.copyTo;
    VideoFrame.prototype.copyTo = async function (data, ...options) {
      const layout = await own.call(this, data, ...options);
      change(data);
      return layout;
    };
  }
  if (!globalThis.document) return;
  const script = (...parts) => URL.createObjectURL(new Blob(parts, { type: "text/javascript" }));
  const first = script(`(${addNoise})(${JSON.stringify(decoder)})`);
  globalThis.Worker = class extends Worker {
    constructor(url, options) {
      super(script(`import "${first}"; import "${url}";`), options);
    }
  };
}

/** decoder: what ImageDecoder gives: "exact", "noise", or "none" where there is none. */
const noisyPage = (decoder, work) =>
  withPage(async (page, found) => {
    await page.setBypassCSP(true); // for the worker's script
    await page.evaluateOnNewDocument(addNoise, decoder);
    await page.goto(`${found.base}?model=tests/data/bundles/tiny`);
    await work(page, found);
    assert.deepEqual(found.problems, []);
  });

async function error(page, wanted) {
  await page.waitForFunction(
    (part) => document.getElementById("error").textContent.includes(part),
    {},
    wanted,
  );
}

test("the module reads pixel blocks past the canvas, and damaged ones are refused", { skip }, () =>
  noisyPage("exact", async (page) => {
    await page.evaluate(async () => {
      const { Codec } = await import("./app/aecodec.js");
      const codec = new Codec({ models: ["tests/data/bundles/tiny"], device: "wasm", threads: 1 });
      globalThis.decode = async (name) => {
        const data = new Uint8Array(await (await fetch(`tests/conformance/${name}.aec`)).arrayBuffer());
        const picture = await codec.read(data).catch(({ name }) => ({ error: name }));
        return { ...picture, samples: picture.samples && [...picture.samples] };
      };
    });
    const found = await page.evaluate(() => decode("valid/pixel_blocks_alone"));
    assert.equal(distance(found, goldenPicture("pixel_blocks_alone")), 0);
    const damaged = INVALID.filter(([name]) => name.startsWith("blocks_"));
    assert.ok(damaged.length > 5);
    for (const [name, wanted] of damaged) {
      const { error } = await page.evaluate((path) => decode(path), `invalid/${name}`);
      assert.equal(error, wanted, name);
    }
  }),
);

test("the page's worker does, too; pictures that come by a canvas are told of", { skip }, () =>
  noisyPage("exact", async (page) => {
    await page.evaluate(() => {
      const own = URL.createObjectURL;
      URL.createObjectURL = (blob) => own.call(URL, (globalThis.made = blob));
    });
    await choose(page, BLOCKS);
    await page.waitForSelector("#work:not([hidden])");
    await page.click("#save-png");
    await page.waitForFunction(() => document.getElementById("status").textContent === "blocks.png saved");
    const png = await page.evaluate(async () => [...new Uint8Array(await made.arrayBuffer())]);
    assert.deepEqual(decodePng(Uint8Array.from(png)).data, goldenPicture("pixel_blocks_alone").data);

    await choose(page, new URL("data/budgie.png", TESTS).pathname);
    await error(page, "protection against fingerprinting");
    assert.match(await text(page, "#error"), /allow this page to read canvases/);
    assert.match(await text(page, "#left-tag"), /^Original/);
  }),
);

for (const decoder of ["noise", "none"]) {
  test(`pixel blocks are refused where nothing gives them exactly: ImageDecoder, ${decoder}`, { skip }, () =>
    noisyPage(decoder, async (page) => {
      await choose(page, BLOCKS);
      await error(page, "protection against fingerprinting");
    }),
  );
}
