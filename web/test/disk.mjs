/** A folder for what a file chooser is to find, gone after the tests. Not itself a test. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { after } from "node:test";

export const folder = mkdtempSync(`${tmpdir()}/aecodec-`);
after(() => rmSync(folder, { recursive: true }));

/** Its path. */
export function onDisk(name, data) {
  const path = `${folder}/${name}`;
  writeFileSync(path, data);
  return path;
}
