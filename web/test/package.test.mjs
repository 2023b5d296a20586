// What is committed fits together.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { copyModels } from "../scripts/models.mjs";
import { SHIPPED } from "../src/models.js";

const web = new URL("../", import.meta.url);
const read = (path) => readFileSync(new URL(path, web), "utf8");

test("aecodec.wasm was made from the C core as it is, and is small", () => {
  const { status, stderr } = spawnSync("bash", ["build.sh", "check"], { cwd: web, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  assert.ok(statSync(new URL("wasm/aecodec.wasm", web)).size < 60_000);
});

const [, compiler] = /^compiler (.*)$/m.exec(read("wasm/aecodec.wasm.txt"));
const found = spawnSync("clang", ["--version"], { encoding: "utf8" }).stdout?.split("\n")[0];

test("the same compiler makes the same bytes", { skip: found !== compiler && `needs ${compiler}` }, () => {
  const out = mkdtempSync(`${tmpdir()}/aecodec-`);
  try {
    execFileSync("bash", ["build.sh", "core"], { cwd: web, env: { ...process.env, WASM_OUT: out } });
    const [made, kept] = [`${out}/aecodec.wasm`, new URL("wasm/aecodec.wasm", web)].map((path) =>
      readFileSync(path),
    );
    assert.ok(made.equals(kept));
  } finally {
    rmSync(out, { recursive: true });
  }
});

test("the lock file names every package's hash, and no registry but the public one", () => {
  const { packages } = JSON.parse(read("package-lock.json"));
  for (const [name, { resolved, integrity }] of Object.entries(packages)) {
    if (!name) continue;
    assert.ok(integrity, name);
    assert.ok(!resolved || resolved.startsWith("https://registry.npmjs.org/"), `${name}: ${resolved}`);
  }
});

test("the default model is that of the Python package", () => {
  assert.equal(SHIPPED[0], read("../aecodec/bundles/default.txt").trim());
});

test("of the models the package carries what is read here, and no others", async () => {
  const out = mkdtempSync(`${tmpdir()}/aecodec-`);
  try {
    mkdirSync(`${out}/models/left-over`, { recursive: true });
    await copyModels(pathToFileURL(`${out}/models/`));
    assert.deepEqual(readdirSync(`${out}/models`).sort(), SHIPPED.toSorted());
    const graphs = ["analysis", "context", "scales_first", "scales_second", "synthesis"];
    const files = ["manifest.json", "tables.bin", ...graphs.map((name) => `${name}.onnx`)].sort();
    for (const name of SHIPPED) assert.deepEqual(readdirSync(`${out}/models/${name}`).sort(), files);
  } finally {
    rmSync(out, { recursive: true });
  }
});

test("versions are pinned, and the package's is the project's", () => {
  const { version, dependencies, devDependencies } = JSON.parse(read("package.json"));
  for (const wanted of Object.values({ ...dependencies, ...devDependencies }))
    assert.match(wanted, /^\d+\.\d+\.\d+$/);
  assert.match(read("../CMakeLists.txt"), new RegExp(`project\\(aecodec VERSION ${version} `));
});
