/** Copies models of the Python package to web/models: what the package and the site carry. */
import { copyFile, mkdir, readFile } from "node:fs/promises";

const FILES = ["manifest.json", "tables.bin"];
const GRAPHS = ["analysis", "context", "scales_first", "scales_second", "synthesis"];

/** @param {URL} to folder of the models, ending in a slash */
export async function copyModels(to) {
  const bundles = new URL("../../aecodec/bundles/", import.meta.url);
  const first = (await readFile(new URL("default.txt", bundles), "utf8")).trim();
  for (const name of [first, `${first}-perceptual`]) {
    await mkdir(new URL(`${name}/`, to), { recursive: true });
    for (const file of [...FILES, ...GRAPHS.map((graph) => `${graph}.onnx`)]) {
      await copyFile(new URL(`${name}/${file}`, bundles), new URL(`${name}/${file}`, to));
    }
  }
  return first;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  await copyModels(new URL("../models/", import.meta.url));
}
