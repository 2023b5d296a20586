// Bundles are verified whenever they are read.
import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Bundle } from "../src/models.js";
import { Codec, info } from "../src/index.js";
import { golden, psnr, scene, TINY } from "./golden.mjs";

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
  const nano = new URL("../../aecodec/bundles/nano/", import.meta.url);
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

test("a tune is the model of that name, and files find their own", async () => {
  const places = ["nano", "nano-perceptual"].map(
    (name) => new URL(`../../aecodec/bundles/${name}/`, import.meta.url),
  );
  const codec = new Codec({ models: places, device: "wasm", threads: 1 });
  const image = scene(96, 64);
  const ids = [];
  for (const tune of ["psnr", "perceptual"]) {
    const data = await codec.encode(image, { quality: 60, tune });
    ids.push((await info(data)).model_id);
    assert.ok(psnr(image, await codec.decode(data)) > 25);
  }
  assert.deepEqual(ids, await Promise.all(places.map(async (place) => (await Bundle.load(place)).id)));
  assert.notEqual(ids[0], ids[1]);
  const alone = new Codec({ models: [TINY], device: "wasm", threads: 1 });
  await assert.rejects(alone.encode(image, { tune: "perceptual" }), {
    name: "ModelError",
    message: /tune "perceptual" needs model tiny-perceptual.*tiny/,
  });
  await assert.rejects(codec.encode(image, { tune: "ssim" }), {
    name: "UsageError",
    message: /psnr, perceptual/,
  });
});
