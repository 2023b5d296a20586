/** Copies models of the Python package to web/models: of each what src/ reads, for the package and the site. */
import { copyFile, mkdir, rm } from "node:fs/promises";
import { FILES, SHIPPED } from "../src/models.js";

/** @param {URL} to folder of the models, ending in a slash; what is in it goes */
export async function copyModels(to) {
  await rm(to, { recursive: true, force: true });
  for (const name of SHIPPED) {
    const [from, into] = [new URL("../../aecodec/bundles/", import.meta.url), to].map(
      (folder) => new URL(`${name}/`, folder),
    );
    await mkdir(into, { recursive: true });
    for (const file of ["manifest.json", ...FILES]) await copyFile(new URL(file, from), new URL(file, into));
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  await copyModels(new URL("../models/", import.meta.url));
}
