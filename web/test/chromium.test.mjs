// The module in headless Chromium: the golden files, threads, a GPU; and what of the models the page loads.
// WEBGPU=1 tries the networks on a GPU in software, which takes minutes.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, test } from "node:test";
import { Codec } from "../src/index.js";
import { choose, compared, SKIP as skip, withPage } from "./browser.mjs";
import { BUNDLES, distance, goldenPicture, INVALID, scene, VALID } from "./golden.mjs";

const folder = mkdtempSync(`${tmpdir()}/aecodec-`);
after(() => rmSync(folder, { recursive: true }));

test("the golden files", { skip }, () =>
  withPage(async (page, { problems }) => {
    await page.evaluate(async () => {
      const { Codec } = await import("./app/aecodec.js");
      globalThis.codec = new Codec({ models: ["tests/data/bundles/tiny"], device: "wasm", threads: 1 });
      globalThis.decode = async (name) => {
        const data = new Uint8Array(await (await fetch(`tests/conformance/${name}.aec`)).arrayBuffer());
        try {
          const { samples, alpha, ...rest } = await codec.read(data);
          return { ...rest, samples: Array.from(samples), alpha: alpha && Array.from(alpha), icc: undefined };
        } catch (error) {
          return { error: error.name, message: error.message };
        }
      };
    });
    for (const [name, crc] of VALID) {
      const found = await page.evaluate((path) => decode(path), `valid/${name}`);
      assert.equal(found.symbolsCrc, parseInt(crc, 16), `${name}: ${found.message}`);
      assert.ok(distance(found, goldenPicture(name)) <= (found.depth === 8 ? 1 : 16), name);
    }
    for (const [name, error] of INVALID) {
      const found = await page.evaluate((path) => decode(path), `invalid/${name}`);
      assert.equal(found.error, error, `${name}: ${found.message}`);
    }
    assert.deepEqual(problems, []);
  }),
);

test("threads where the page may have them: the same symbols", { skip }, () =>
  withPage(
    async (page) => {
      const found = await page.evaluate(async () => {
        const { Codec } = await import("./app/aecodec.js");
        const codec = new Codec({ models: ["tests/data/bundles/tiny"], device: "wasm", threads: 2 });
        const data = new Uint8Array(
          await (await fetch("tests/conformance/valid/rgb_520x40.aec")).arrayBuffer(),
        );
        const { symbolsCrc } = await codec.read(data);
        return [crossOriginIsolated, symbolsCrc];
      });
      assert.deepEqual(found, [true, 0x03f4d5aa]);
    },
    { isolated: true },
  ),
);

test("a file chooses its model and shows its tune; nothing of other models is loaded", { skip }, () =>
  withPage(async (page, { problems, server }) => {
    const asked = [];
    server.on("request", ({ url }) => asked.push(url));
    const loaded = () =>
      [...new Set(asked.map((url) => /^\/models\/(.*)\/.*\.onnx$/.exec(url)?.[1]))].filter(Boolean);
    const image = scene(96, 64);
    const seen = [];
    for (const [model, tune] of [
      ["nano", "psnr"],
      ["nano-perceptual", ""],
      ["fast", "psnr"],
      ["fast-perceptual", ""],
    ]) {
      const codec = new Codec({ models: [new URL(`${model}/`, BUNDLES)], device: "wasm", threads: 1 });
      const path = `${folder}/${model}.aec`;
      writeFileSync(path, await codec.encode(image));
      await choose(page, path);
      const named = (name) => document.getElementById("facts").textContent.includes(`Model${name} `);
      await page.waitForFunction(named, {}, model);
      await compared(page);
      assert.equal(await page.$eval("#tune", ({ value }) => value), tune, model);
      assert.deepEqual(loaded(), [...seen, model]);
      seen.push(model);
    }
    assert.ok(!asked.some((url) => /analysis|context/.test(url)), "nothing was encoded");
    assert.deepEqual(problems, []);
  }),
);

test(
  "on a GPU: the same symbols, pixels within a level",
  { skip: skip || (!process.env.WEBGPU && "slow: set WEBGPU=1") },
  () =>
    withPage(
      async (page) => {
        const [device, crc, picture] = await page.evaluate(async () => {
          const { Codec } = await import("./app/aecodec.js");
          const codec = new Codec({ models: ["tests/data/bundles/tiny"], device: "webgpu", threads: 1 });
          const data = new Uint8Array(
            await (await fetch("tests/conformance/valid/rgb_64x64.aec")).arrayBuffer(),
          );
          const { symbolsCrc, samples, ...rest } = await codec.read(data);
          return [await codec.device(), symbolsCrc, { ...rest, samples: Array.from(samples) }];
        });
        assert.deepEqual([device, crc], ["webgpu", 0x57faab76]);
        assert.ok(distance(picture, goldenPicture("rgb_64x64")) <= 1);
      },
      { args: ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"] },
    ),
);
