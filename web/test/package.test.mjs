// What is committed fits together.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";

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

test("versions are pinned, and the package's is the project's", () => {
  const { version, dependencies, devDependencies } = JSON.parse(read("package.json"));
  for (const wanted of Object.values({ ...dependencies, ...devDependencies }))
    assert.match(wanted, /^\d+\.\d+\.\d+$/);
  assert.match(read("../CMakeLists.txt"), new RegExp(`project\\(aecodec VERSION ${version} `));
});
