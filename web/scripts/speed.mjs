/** node scripts/speed.mjs FILE.aec [MODEL ...]: time of coding that picture in Node, one thread; with the file's own model
 * unless others are named.
 *
 * Medians of seven rounds, in which the models take turns, after three that warm up: on the clock, and of the processor,
 * which a busy machine changes less. */
import { readFile } from "node:fs/promises";
import { Codec } from "../src/index.js";
import { SHIPPED } from "../src/models.js";

const [path, ...named] = process.argv.slice(2);
const file = await readFile(path);
const open = (names) => {
  const models = names.map((name) => new URL(`../../aecodec/bundles/${name}/`, import.meta.url));
  return new Codec({ models, device: "wasm", threads: 1 });
};

const whole = open(SHIPPED);
const { quality } = await whole.info(file);
const image = await whole.decode(file);
const { model } = await whole.read(file);
console.log(`${image.width} x ${image.height}, quality ${quality}`);

const works = [];
for (const name of named.length ? named : [model]) {
  const codec = open([name]);
  const data = await codec.encode(image, { quality });
  works.push([`${name}, decode`, () => codec.decode(data), []]);
  works.push([`${name}, encode, ${data.length} bytes`, () => codec.encode(image, { quality }), []]);
}
for (let round = 0; round < 10; round++) {
  for (const [, work, runs] of works) {
    const [begin, before] = [performance.now(), process.cpuUsage()];
    await work();
    const { user, system } = process.cpuUsage(before);
    if (round >= 3) runs.push([performance.now() - begin, (user + system) / 1000]);
  }
}
for (const [name, , runs] of works) {
  const [clock, processor] = [0, 1].map((k) =>
    Math.round(runs.map((run) => run[k]).sort((a, b) => a - b)[3]),
  );
  console.log(`${name}: ${clock} ms, processor ${processor} ms`);
}
