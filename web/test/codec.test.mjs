// encode() and decode() against each other, in Node. tests/test_web.py has the native library at the other end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Codec, info } from "../src/index.js";
import { turn } from "../src/pixels.js";
import { distance, golden, goldenPicture, psnr, scene, TINY } from "./golden.mjs";

const codec = new Codec({ models: [TINY], device: "wasm", threads: 1 });

test("quality is monotone in bytes and in PSNR", async () => {
  const image = scene(150, 100);
  const found = [];
  for (const quality of [0, 50, 100]) {
    const data = await codec.encode(image, { quality });
    found.push([data.length, psnr(image, await codec.decode(data))]);
  }
  assert.ok(found[0][0] < found[1][0] && found[1][0] < found[2][0], String(found));
  assert.ok(found[0][1] < found[1][1] && found[1][1] < found[2][1], String(found));
});

test("the same bytes again, also while another picture is being coded", async () => {
  const [a, b] = [scene(70, 90), scene(130, 64)];
  const alone = [await codec.encode(a), await codec.encode(b)];
  const together = await Promise.all([codec.encode(a), codec.encode(b)]);
  assert.deepEqual(together, alone);
  const decoded = await Promise.all(alone.map((data) => codec.read(data)));
  assert.deepEqual(
    decoded.map(({ width }) => width),
    [70, 130],
  );
});

test("grey pictures are coded as grey", async () => {
  const image = scene(64, 64, (x, y, pixel) => pixel.fill(pixel[0], 0, 3));
  const data = await codec.encode(image);
  assert.equal((await info(data)).channels, 1);
  const { data: back } = await codec.decode(data);
  assert.ok(back.every((value, i) => i % 4 === 3 || value === back[i - (i % 4)]));
});

test("alpha comes back exactly, and what it hides costs little", async () => {
  let seed = 1;
  const noise = () => (seed = (seed * 16807) % 2147483647) % 256;
  const hidden = (x) => x < 60;
  const image = scene(128, 64, (x, y, pixel) => {
    if (hidden(x)) pixel.splice(0, 4, noise(), noise(), noise(), 0);
    else if (x < 70) pixel[3] = 25 * (x - 60);
  });
  const data = await codec.encode(image, { quality: 80 });
  const back = await codec.decode(data);
  assert.ok(back.data.every((value, i) => i % 4 < 3 || value === image.data[i]));
  assert.ok(psnr(image, back, (i) => i % 4 < 3 && (i >> 2) % 128 >= 70) > 20);
  const without = await codec.encode(image, { quality: 80, alpha: false });
  const bytes = async (file) => (await info(file)).groups.reduce((sum, { size }) => sum + size, 0);
  const [hiding, showing] = [await bytes(data), await bytes(without)];
  assert.ok(showing > 1.3 * hiding, `${showing} of ${hiding} bytes`);
  assert.equal((await info(without)).alpha, false);
});

test("the networks leave out what pixel blocks cover", async () => {
  for (const name of ["pixel_blocks_alone", "no_symbols_group_0"]) {
    const tiny = new Codec({ models: [TINY], device: "wasm", threads: 1, largestWindow: 5 });
    const shares = [];
    const found = await tiny.read(golden("valid", name), { onProgress: (share) => shares.push(share) });
    assert.ok(distance(found, goldenPicture(name)) <= 1);
    assert.equal(shares.at(-1), 1);
    assert.ok(shares.every((share, i) => i === 0 || share >= shares[i - 1]));
  }
});

test("without alpha, colours that it hid show", async () => {
  const image = scene(64, 64, (x, y, pixel) =>
    pixel.splice(0, 4, ...(x < 32 ? [255, 0, 0, 0] : [9, 9, 9, 255])),
  );
  assert.equal((await info(await codec.encode(image))).channels, 1);
  const data = await codec.encode(image, { alpha: false });
  assert.deepEqual([(await info(data)).channels, (await info(data)).alpha], [3, false]);
  const [red, green] = (await codec.decode(data)).data;
  assert.ok(red > 200 && green < 60, `${red}, ${green}`);
});

test("alpha with loss is a file in section ALPC", async () => {
  const image = scene(80, 64, (x, y, pixel) => (pixel[3] = 3 * x));
  const data = await codec.encode(image, { alphaQuality: 90 });
  assert.ok((await info(data)).sections.some(({ tag }) => tag === "ALPC"));
  const back = await codec.decode(data);
  const error = psnr(image, back, (i) => i % 4 === 3);
  assert.ok(error > 25 && error < Infinity, String(error));
});

test("metadata and orientation go through", async () => {
  const exif = Uint8Array.from("II*\0\x08\0\0\0\0\0\0\0\0\0", (c) => c.charCodeAt(0));
  const xmp = new TextEncoder().encode("<x/>");
  const data = await codec.encode(scene(40, 64), { exif, xmp, icc: exif, dpi: [300, 72.5], orientation: 8 });
  const back = await codec.read(data);
  assert.deepEqual(
    [back.exif, back.xmp, back.icc, back.dpi, back.orientation],
    [exif, xmp, exif, [300, 72.5], 8],
  );
  assert.equal((await codec.decode(data)).width, 64);
});

test("a resolution that no file can hold is refused", async () => {
  const image = scene(16, 16);
  for (const dpi of [
    [0.01, 400_000],
    [400_000, 0.01],
  ]) {
    assert.deepEqual((await codec.read(await codec.encode(image, { dpi }))).dpi, dpi);
  }
  for (const dpi of [null, undefined]) {
    assert.equal((await codec.read(await codec.encode(image, { dpi }))).dpi, undefined);
  }
  for (const dpi of [
    [0, 72],
    [72, 0.0099],
    [400_001, 72],
    [72, 500_000],
    [NaN, 72],
    [72, Infinity],
    [-72, 72],
    ["72", 72],
    [72, null],
    [, 72],
    [72],
    [72, 72, 72],
    [],
    "72",
    72,
    0,
    {},
  ]) {
    await assert.rejects(
      codec.encode(image, { dpi }),
      { name: "UsageError", message: `dpi ${dpi}: two numbers from 0.01 to 400000 are needed` },
      String(dpi),
    );
  }
});

test("null stands for the quality that is meant without a word", async () => {
  const image = scene(64, 64, (x, y, pixel) => (pixel[3] = 3 * x));
  const plain = await codec.encode(image);
  for (const options of [{ quality: null }, { quality: undefined, alphaQuality: null }]) {
    assert.deepEqual(await codec.encode(image, options), plain);
  }
  const lossy = await codec.encode(image, { alphaQuality: 0 });
  assert.ok((await info(lossy)).sections.some(({ tag }) => tag === "ALPC"));
  for (const wrong of ["50", true, [50], "", false, 7n]) {
    for (const name of ["quality", "alphaQuality"]) {
      await assert.rejects(codec.encode(scene(16, 16), { [name]: wrong }), {
        name: "UsageError",
        message: `quality ${wrong}: a number from 0 to 100 is needed`,
      });
    }
  }
  for (const wrong of [-1, 100.5, NaN, Infinity]) {
    await assert.rejects(codec.encode(image, { quality: wrong }), {
      name: "UsageError",
      message: `quality ${wrong} is outside 0..100`,
    });
  }
});

test("metadata that no decoder would take is refused", async () => {
  const small = new Codec({ models: [TINY], device: "wasm", threads: 1, limits: { maxMetadata: 20 } });
  const image = scene(16, 16);
  for (const [name, said] of Object.entries({ icc: "profile", exif: "EXIF data", xmp: "XMP" })) {
    const data = new Uint8Array(20).fill(7);
    assert.deepEqual((await small.read(await small.encode(image, { [name]: data })))[name], data);
    await assert.rejects(small.encode(image, { [name]: new Uint8Array(21) }), {
      name: "LimitError",
      message: new RegExp(`^the picture's ${said}: 21 bytes, the limit is 20 `),
    });
  }
});

test("windows give what the whole picture gives", async () => {
  const data = await codec.encode(scene(64 * 13, 64 * 12), { quality: 70 });
  const pieces = new Codec({ models: [TINY], device: "wasm", threads: 1, largestWindow: 9 });
  const [whole, tiled] = [await codec.decode(data), await pieces.decode(data)];
  let most = 0;
  whole.data.forEach((value, i) => (most = Math.max(most, Math.abs(value - tiled.data[i]))));
  assert.ok(most <= 1, `${most} levels`);
  const again = await pieces.encode(scene(64 * 13, 64 * 12), { quality: 70 });
  assert.ok(Math.abs(again.length / data.length - 1) < 0.01);
  assert.equal((await pieces.read(again)).width, 64 * 13);
});

test("turning follows EXIF", () => {
  // 2 x 3 pixels numbered by row; where the numbers are once the picture is upright.
  const data = new Uint8ClampedArray(new Uint32Array([1, 2, 3, 4, 5, 6]).buffer);
  const upright = {
    1: "123456",
    2: "214365",
    3: "654321",
    4: "563412",
    5: "135246",
    6: "531642",
    7: "642531",
    8: "246135",
  };
  for (const [kind, wanted] of Object.entries(upright)) {
    const found = turn({ data, width: 2, height: 3 }, Number(kind));
    assert.equal(new Uint32Array(found.data.buffer).join(""), wanted, kind);
    assert.deepEqual([found.width, found.height], kind < 5 ? [2, 3] : [3, 2]);
  }
});

test("errors say what and have their names", async () => {
  const image = scene(64, 64);
  const cases = [
    [() => codec.encode(image, { quality: 101 }), "UsageError", /quality 101/],
    [() => codec.encode({ width: 2, height: 2, data: new Uint8Array(3) }), "InputError", /ImageData/],
    [() => codec.decode("text"), "InputError", /bytes/],
    [() => codec.decode(new TextEncoder().encode("JFIF")), "FormatError", /not an aec file/],
    [() => new Codec({ models: [TINY], limits: { maxPixels: 1000 } }).encode(image), "LimitError", /64 x 64/],
    [() => new Codec({ models: ["/nowhere"] }).encode(image), "ModelError", /cannot read/],
    [() => new Codec({ models: [TINY], device: "gpu" }).encode(image), "UsageError", /device gpu/],
    [() => new Codec({ models: [TINY], device: "webgpu" }).encode(image), "DeviceError", /no GPU/],
  ];
  for (const [call, name, message] of cases) {
    await assert.rejects(call(), (error) => error.name === name && message.test(error.message));
  }
});

test("a decoder's limits hold before anything is allocated", async () => {
  const data = await codec.encode(scene(128, 64));
  const small = new Codec({ models: [TINY], device: "wasm", limits: { maxPixels: 128 * 64 - 1 } });
  await assert.rejects(small.decode(data), { name: "LimitError" });
});

test("progress is told", async () => {
  const [shares, loads] = [[], []];
  const fresh = new Codec({ models: [TINY], device: "wasm", threads: 1, onProgress: (p) => loads.push(p) });
  await fresh.encode(scene(64, 64), { onProgress: (share) => shares.push(share) });
  assert.equal(shares.at(-1), 1);
  assert.deepEqual(
    shares,
    shares.toSorted((a, b) => a - b),
  );
  assert.equal(loads.at(-1).loaded, loads.at(-1).total);
});
