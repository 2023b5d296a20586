// Bundles are verified whenever they are read.
import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Bundle, SHIPPED } from "../src/models.js";
import { Codec, info } from "../src/index.js";
import { staticServer } from "../scripts/serve.mjs";
import { BUNDLES, golden, PLACES, psnr, scene, TINY } from "./golden.mjs";

async function copied(change, check) {
  const folder = await mkdtemp(join(tmpdir(), "aecodec-"));
  try {
    await cp(TINY, folder, { recursive: true });
    await change(folder);
    await check(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("a damaged graph is refused", async () => {
  const flip = async (folder) => {
    const path = join(folder, "scales_second.onnx");
    const data = await readFile(path);
    data[data.length >> 1] ^= 1;
    await writeFile(path, data);
  };
  await copied(flip, (folder) =>
    assert.rejects(new Codec({ models: [folder] }).encode(scene(64, 64)), {
      name: "ModelError",
      message: /scales_second.*sha256/,
    }),
  );
});

test("a manifest whose hashes do not give its id is refused", async () => {
  const forge = async (folder) => {
    const path = join(folder, "manifest.json");
    const text = await readFile(path, "utf8");
    await writeFile(
      path,
      text.replace(/"sha256": "(.)/, (all, digit) => all.slice(0, -1) + (digit === "0" ? "1" : "0")),
    );
  };
  await copied(forge, (folder) =>
    assert.rejects(Bundle.load(folder), { name: "ModelError", message: /model id/ }),
  );
});

test("a graph that the model's id is bound to may not be exported anew", async () => {
  const changed = (int8) => async (folder) => {
    const path = join(folder, "manifest.json");
    const manifest = JSON.parse(await readFile(path, "utf8"));
    const { files } = manifest;
    manifest.identity = Object.fromEntries(Object.entries(files).map(([name, { sha256 }]) => [name, sha256]));
    files["context.onnx"] = { ...files["context.onnx"], sha256: "0".repeat(64) };
    if (int8) manifest.precisions = { int8: { context: "context.int8.onnx" } };
    await writeFile(path, JSON.stringify(manifest));
  };
  await copied(changed(false), (folder) => Bundle.load(folder));
  await copied(changed(true), (folder) =>
    assert.rejects(Bundle.load(folder), { name: "ModelError", message: /model id/ }),
  );
});

for (const [what, from, to] of [
  ["format", /"format": 1/, '"format": 2'],
  ["halo", /"synthesis": \d+\n/, '"synthesis": -1\n'],
  ["JSON", /^\{/, ""],
]) {
  test(`a manifest with a wrong ${what} is refused`, async () => {
    const change = async (folder) => {
      const path = join(folder, "manifest.json");
      const text = await readFile(path, "utf8");
      assert.match(text, from);
      await writeFile(path, text.replace(from, to));
    };
    await copied(change, (folder) => assert.rejects(Bundle.load(folder), { name: "ModelError" }));
  });
}

test("dead zones are taken from a half in 32 bits", () => {
  const dead_zone = [0.1, 0.318, 0.25]; // in 64 bits 0.318 would leave 0.18199999630451202
  const { rounding } = new Bundle(TINY, { dead_zone, skip: 1 });
  assert.deepEqual([...rounding], [-Infinity, 0.18200001120567322, 0.25]);
});

test("a file of another model names it", async () => {
  const nano = new URL("nano/", BUNDLES);
  const codec = new Codec({ models: [nano], device: "wasm", threads: 1 });
  const reject = { name: "ModelError", message: /00a22d944a056eb7.*nano/ };
  await assert.rejects(codec.decode(golden("valid", "rgb_1x1")), reject);
  const both = new Codec({ models: [nano, TINY], device: "wasm", threads: 1 });
  assert.equal((await both.decode(golden("valid", "rgb_1x1"))).width, 1);
});

test("calls at the same time load a model once", async () => {
  const [graphs, loads] = [[], []];
  const loadRuntime = async () => {
    const ort = await import("onnxruntime-web");
    const create = (...args) => {
      graphs.push(args);
      return ort.InferenceSession.create(...args);
    };
    return { ...ort, InferenceSession: { create } };
  };
  const onProgress = (progress) => loads.push(progress);
  const codec = new Codec({ models: [TINY], device: "wasm", threads: 1, loadRuntime, onProgress });
  await Promise.all([codec.load(), codec.load(), codec.load()]);
  assert.equal(graphs.length, 3);
  const bytes = (await Bundle.load(TINY)).bytesOf(
    ["scales_first", "scales_second", "synthesis"].map((graph) => `${graph}.onnx`),
  );
  assert.deepEqual([loads.length, loads.at(-1).loaded, loads.at(-1).total], [3, bytes, bytes]);
  assert.ok(loads.every(({ total }) => total === bytes));
  const image = scene(64, 64);
  const [one, other] = await Promise.all([codec.encode(image), codec.encode(image)]);
  assert.deepEqual(one, other);
  assert.equal(graphs.length, 5);
});

for (const file of ["tables.bin", "scales_first.onnx", "synthesis.onnx"]) {
  test(`after a failure with ${file} a later call loads the model`, async () => {
    await copied(
      (folder) => writeFile(join(folder, file), "damaged"),
      async (folder) => {
        const codec = new Codec({ models: [folder], device: "wasm", threads: 1 });
        const calls = [codec.load(), codec.load()];
        for (const { reason } of await Promise.allSettled(calls)) assert.equal(reason?.name, "ModelError");
        await cp(new URL(file, TINY), join(folder, file));
        await codec.load();
        assert.equal((await codec.decode(golden("valid", "rgb_1x1"))).width, 1);
      },
    );
  });
}

test("without a tune the first model encodes, with one that of its name; files find their own", async () => {
  const codec = new Codec({ models: PLACES, device: "wasm", threads: 1 });
  const bundles = await Promise.all(PLACES.map((place) => Bundle.load(place)));
  const names = Object.fromEntries(bundles.map(({ id, name }) => [id, name]));
  assert.deepEqual(Object.values(names), SHIPPED, "as many ids, and named as their folders are");
  const image = scene(96, 64);
  for (const [tune, name] of [
    [undefined, SHIPPED[0]],
    [null, SHIPPED[0]],
    ["perceptual", "fast-perceptual"],
    ["psnr", "fast"],
  ]) {
    const data = await codec.encode(image, { quality: 60, tune });
    assert.equal(names[(await info(data)).model_id], name, tune);
    assert.equal((await codec.read(data)).model, name);
    assert.ok(psnr(image, await codec.decode(data)) > 25);
  }
});

test("a tune goes by the first model's name, with its ending or without", async () => {
  const image = scene(64, 64);
  const named = (...wanted) => wanted.map((name) => new URL(`${name}/`, BUNDLES));
  const encoded = async (models, tune) => {
    const codec = new Codec({ models, device: "wasm", threads: 1 });
    return (await codec.read(await codec.encode(image, { tune }))).model;
  };
  assert.equal(await encoded(named("nano", "nano-perceptual"), undefined), "nano");
  assert.equal(await encoded(named("nano", "nano-perceptual"), "psnr"), "nano");
  assert.equal(
    await encoded(named("nano", "fast-perceptual", "nano-perceptual"), "perceptual"),
    "nano-perceptual",
  );
  assert.equal(await encoded([TINY], "psnr"), "tiny");
  await assert.rejects(encoded([TINY], "perceptual"), {
    name: "ModelError",
    message: /tune "perceptual" needs model tiny-perceptual.*tiny/,
  });
  await assert.rejects(encoded(named("nano-perceptual", "fast"), "psnr"), {
    name: "ModelError",
    message: /tune "psnr" needs model nano, .*nano-perceptual.*fast/,
  });
  for (const tune of ["ssim", "", "toString", 1]) {
    await assert.rejects(encoded([TINY], tune), { name: "UsageError", message: /psnr, perceptual/ });
  }
});

test("of models that are not used the manifests are loaded, nothing else", async () => {
  const server = staticServer(BUNDLES);
  const asked = [];
  server.on("request", ({ url }) => asked.push(url.slice(1)));
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  try {
    const base = `http://localhost:${server.address().port}/`;
    const nano = new Codec({ models: [new URL("nano/", BUNDLES)], device: "wasm", threads: 1 });
    const image = scene(64, 64);
    const data = await nano.encode(image);
    const models = SHIPPED.map((name) => `${base}${name}/`);
    const codec = new Codec({ models, device: "wasm", threads: 1 });
    const manifests = SHIPPED.map((name) => `${name}/manifest.json`);
    const decoding = ["tables.bin", "scales_first.onnx", "scales_second.onnx", "synthesis.onnx"];
    const encoding = [...decoding, "analysis.onnx", "context.onnx"];
    const of = (name, files) => files.map((file) => `${name}/${file}`);
    await codec.decode(data);
    assert.deepEqual(asked.splice(0).sort(), [...manifests, ...of("nano", decoding)].sort());
    await codec.encode(image);
    assert.deepEqual(asked.splice(0).sort(), of(SHIPPED[0], encoding).sort());
    await codec.encode(image, { tune: "psnr" });
    assert.deepEqual(asked.splice(0).sort(), of("fast", encoding).sort());
    await codec.encode(image, { tune: "perceptual" });
    await codec.decode(data);
    assert.deepEqual(asked, []);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});
