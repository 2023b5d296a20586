/** node scripts/speed.mjs FILE.aec: time of decoding it and encoding it again in Node, one thread.
 *
 * Medians of seven runs after three that warm up: on the clock, and of the processor, which a busy machine changes less. */
import { readFile } from "node:fs/promises";
import { Codec } from "../src/index.js";

const bundle = new URL("../../aecodec/bundles/nano/", import.meta.url);
const data = await readFile(process.argv[2]);
const codec = new Codec({ models: [bundle], device: "wasm", threads: 1 });
await codec.load({ encoder: true });

async function median(name, work) {
  const runs = [];
  for (let i = 0; i < 10; i++) {
    const [begin, before] = [performance.now(), process.cpuUsage()];
    await work();
    const { user, system } = process.cpuUsage(before);
    if (i >= 3) runs.push([performance.now() - begin, (user + system) / 1000]);
  }
  const middle = (k) => Math.round(runs.map((run) => run[k]).sort((a, b) => a - b)[3]);
  console.log(`${name}: ${middle(0)} ms, processor ${middle(1)} ms`);
}

const { quality } = await codec.info(data);
const image = await codec.decode(data);
console.log(`${image.width} x ${image.height}, quality ${quality}`);
await median("decode", () => codec.decode(data));
await median("encode", () => codec.encode(image, { quality }));
