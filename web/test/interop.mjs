/** node test/interop.mjs node|chromium IN OUT [BUNDLE]: the JavaScript end of tests/test_web.py. Not itself a test.
 *
 *     IN/NAME.aec                         -> OUT/NAME.rgba (as stored), OUT/NAME.json {symbols_crc32c, width, height, ms}
 *     IN/NAME.WIDTHxHEIGHT.qQUALITY.rgba  -> OUT/NAME.aec
 *
 * All with the shipped models, so encoding with the default or, in Node, with the one in the folder BUNDLE; one thread. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Codec } from "../src/index.js";
import { CHROME, withPage } from "./browser.mjs";
import { PLACES } from "./golden.mjs";

const [where, from, to, bundle] = process.argv.slice(2);

async function decode(codec, data) {
  const begin = performance.now();
  const picture = await codec.decode(data, { applyOrientation: false });
  const ms = performance.now() - begin;
  const { symbolsCrc } = await codec.read(data);
  return { ...picture, symbolsCrc, ms };
}

/** What either end offers: decode(bytes) and encode(rgba, width, height, quality). */
async function inNode(work) {
  const codec = new Codec({ models: bundle ? [bundle] : PLACES, device: "wasm", threads: 1 });
  await work({
    decode: (data) => decode(codec, data),
    encode: (data, width, height, quality) => codec.encode({ data, width, height }, { quality }),
  });
}

/** The same in the browser; bytes cross over as base64. */
async function inChromium(work) {
  const base64 = (bytes) => Buffer.from(bytes).toString("base64");
  await withPage(async (page, { problems }) => {
    await page.evaluate(async () => {
      const { Codec } = await import("./app/aecodec.js");
      globalThis.codec = new Codec({ device: "wasm", threads: 1 });
      globalThis.toBytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      globalThis.toText = (bytes) => {
        let text = "";
        for (const byte of bytes) text += String.fromCharCode(byte);
        return btoa(text);
      };
    });
    await work({
      async decode(data) {
        const found = await page.evaluate(async (text) => {
          const begin = performance.now();
          const image = await codec.decode(toBytes(text), { applyOrientation: false });
          const ms = performance.now() - begin;
          if (!(image instanceof ImageData)) throw new Error("decode() gives an ImageData in the browser");
          const { symbolsCrc } = await codec.read(toBytes(text));
          return { data: toText(image.data), width: image.width, height: image.height, symbolsCrc, ms };
        }, base64(data));
        return { ...found, data: Buffer.from(found.data, "base64") };
      },
      async encode(data, width, height, quality) {
        const encodeThere = async (text, width, height, quality) => {
          const image = new ImageData(new Uint8ClampedArray(toBytes(text)), width, height);
          return toText(await codec.encode(image, { quality }));
        };
        return Buffer.from(await page.evaluate(encodeThere, base64(data), width, height, quality), "base64");
      },
    });
    if (problems.length) throw new Error(problems.join("\n"));
  });
}

async function convert({ decode, encode }) {
  for (const file of readdirSync(from).sort()) {
    const data = readFileSync(join(from, file));
    const raw = /^(.+)\.(\d+)x(\d+)\.q(\d+)\.rgba$/.exec(file);
    if (raw) {
      const [, name, ...numbers] = raw;
      writeFileSync(
        join(to, `${name}.aec`),
        await encode(new Uint8ClampedArray(data), ...numbers.map(Number)),
      );
    } else if (file.endsWith(".aec")) {
      const name = file.slice(0, -4);
      const { data: rgba, width, height, symbolsCrc, ms } = await decode(new Uint8Array(data));
      writeFileSync(join(to, `${name}.rgba`), rgba);
      const symbols_crc32c = symbolsCrc.toString(16).padStart(8, "0");
      writeFileSync(join(to, `${name}.json`), JSON.stringify({ symbols_crc32c, width, height, ms }));
    }
  }
}

if (where === "chromium" && !CHROME) throw new Error("no Chromium; name it in CHROME");
await { node: inNode, chromium: inChromium }[where](convert);
