// The page as a person uses it, in headless Chromium. SCREENSHOTS=folder keeps pictures of it.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Codec, encodePng } from "../src/index.js";
import { choose, compared, screenshot, SKIP as skip, text, withPage } from "./browser.mjs";
import { folder, onDisk } from "./disk.mjs";
import { golden, scene, TINY } from "./golden.mjs";

test("a picture is coded, compared and saved", { skip }, () =>
  withPage(async (page, { problems }) => {
    await page.click("#sample");
    await compared(page);
    const figures = async () => ({
      size: await text(page, "#size"),
      psnr: parseFloat(await text(page, "#psnr")),
    });
    const first = await figures();
    assert.match(first.size, /^\d+(\.\d)? kB$/);
    assert.ok(first.psnr > 28, String(first.psnr));
    const rows = await page.$$eval("#peers tr", (all) =>
      all.map((row) => [...row.cells].map((cell) => cell.textContent)),
    );
    assert.deepEqual(
      rows.map(([name]) => name),
      ["aecodec", "JPEG", "WebP"],
    );
    const sizes = rows.map(([, size]) => parseFloat(size));
    for (const size of sizes) assert.ok(Math.abs(size / sizes[0] - 1) < 0.06, String(sizes));
    await screenshot(page, "picture");

    // The quality by keyboard: smaller and worse.
    await page.focus("#quality");
    for (let i = 0; i < 3; i++) await page.keyboard.press("PageDown");
    const quality = Number(await text(page, "#quality-shown"));
    assert.ok(quality < 60);
    await page.waitForFunction(
      (size) => document.getElementById("size").textContent !== size,
      {},
      first.size,
    );
    await compared(page);
    const second = await figures();
    assert.ok(second.psnr < first.psnr && parseFloat(second.size) < parseFloat(first.size));
    assert.match(await text(page, "#facts"), new RegExp(`Quality${quality} `));

    // The other model, and back.
    assert.match(await text(page, "#facts"), /Modelfast-perceptual /);
    const tuned = async (tune, model) => {
      await page.select("#tune", tune);
      const named = (name) => document.getElementById("facts").textContent.includes(`Model${name} `);
      await page.waitForFunction(named, {}, model);
      await compared(page);
      return figures();
    };
    const plain = await tuned("psnr", "fast");
    assert.notEqual(plain.size, second.size);
    assert.ok(plain.psnr > 25, String(plain.psnr));
    assert.deepEqual(await tuned("", "fast-perceptual"), second);

    // What is saved is an .aec file that decodes to what is shown.
    const client = await page.createCDPSession();
    await client.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: folder });
    await page.click("#save-aec");
    await page.click("#save-png");
    const saved = () => ["aec", "png"].every((suffix) => existsSync(`${folder}/sample.${suffix}`));
    for (let wait = 0; wait < 1200 && !saved(); wait++) await new Promise((r) => setTimeout(r, 100));
    const aec = readFileSync(`${folder}/sample.aec`);
    assert.equal(aec.subarray(1, 4).toString(), "AEC");
    const png = readFileSync(`${folder}/sample.png`);
    const same = await page.evaluate(
      async (bytes) => {
        const bitmap = await createImageBitmap(new Blob([Uint8Array.from(bytes)]));
        const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
        context.drawImage(bitmap, 0, 0);
        const shown = document.getElementById("right-canvas");
        const [a, b] = [context, shown.getContext("2d")].map(
          (c) => c.getImageData(0, 0, shown.width, shown.height).data,
        );
        return a.every((value, i) => value === b[i]);
      },
      [...png],
    );
    assert.ok(same);
    assert.deepEqual(problems, []);
  }),
);

test("the split shows one picture left and the other right, by pointer and by keys", { skip }, () =>
  withPage(async (page, { problems }) => {
    await page.click("#sample");
    await compared(page);
    await page.select("#left", "jpeg");
    await page.select("#right", "webp");
    assert.match(await text(page, "#left-tag"), /^JPEG, /);
    const { x, y, width, height } = await (await page.$("#stage")).boundingBox();
    // Both layers are painted in one colour each, so a screenshot tells which one is seen.
    await page.evaluate(() => {
      for (const [id, colour] of [
        ["left-canvas", "#f00"],
        ["right-canvas", "#00f"],
      ]) {
        const canvas = document.getElementById(id);
        Object.assign(canvas.getContext("2d"), { fillStyle: colour }).fillRect(
          0,
          0,
          canvas.width,
          canvas.height,
        );
      }
    });
    const seen = async (share) => {
      const clip = { x: x + width * share, y: y + height * 0.3, width: 1, height: 1 };
      const shot = await page.screenshot({ clip, encoding: "base64" });
      return page.evaluate(async (data) => {
        const bitmap = await createImageBitmap(
          new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))]),
        );
        const context = new OffscreenCanvas(1, 1).getContext("2d");
        context.drawImage(bitmap, 0, 0);
        const [red, , blue] = context.getImageData(0, 0, 1, 1).data;
        return red > 200 ? "left" : blue > 200 ? "right" : "neither";
      }, shot);
    };
    assert.deepEqual([await seen(0.3), await seen(0.7)], ["left", "right"]);
    await page.mouse.move(x + width / 2, y + height / 2);
    await page.mouse.down();
    await page.mouse.move(x + width * 0.2, y + height / 2, { steps: 4 });
    await page.mouse.up();
    assert.deepEqual([await seen(0.15), await seen(0.3)], ["left", "right"]);
    await page.focus("#split");
    await page.keyboard.press("End");
    assert.equal(await seen(0.7), "left");

    const place = () => page.$eval("#left-canvas", (canvas) => canvas.style.transform);
    await page.select("#zoom", "8");
    const before = await place();
    await page.focus("#stage");
    await page.keyboard.press("ArrowRight");
    assert.notEqual(await place(), before);
    assert.match(await place(), /scale\(8\)/);
    assert.deepEqual(problems, []);
  }),
);

test(".aec files are opened; damaged ones are refused with a reason", { skip }, () =>
  withPage(async (page, { problems, base }) => {
    await page.goto(`${base}?model=tests/data/bundles/tiny`);
    await choose(page, onDisk("turned.aec", golden("valid", "metadata")));
    await compared(page);
    assert.deepEqual(await page.$eval("#left-canvas", ({ width, height }) => [width, height]), [16, 24]);
    const facts = await text(page, "#facts");
    for (const fact of [
      "24 × 16, RGB, 8 bits",
      "quarter turn",
      "ICC profile",
      "tiny 00a22d944a056eb7",
      "11c7b671, checked",
    ]) {
      assert.ok(facts.includes(fact), facts);
    }
    await choose(page, onDisk("clear.aec", golden("valid", "rgba16_40x32")));
    await page.waitForFunction(() =>
      document.getElementById("facts").textContent.includes("40 × 32, RGB, 16 bits"),
    );
    await compared(page);
    await choose(page, onDisk("broken.aec", golden("invalid", "group_crc")));
    await page.waitForSelector("#error:not([hidden])");
    assert.match(await text(page, "#error"), /group 0.*is damaged/);
    await choose(page, onDisk("words.txt", "no picture"));
    await page.waitForFunction(() =>
      document.getElementById("error").textContent.includes("cannot read that file"),
    );
    await choose(page, onDisk("other.aec", golden("valid", "rgb_64x64")));
    await page.waitForFunction(() => document.getElementById("error").hidden);
    assert.deepEqual(problems, []);
  }),
);

test("colours are those of the picture's profile", { skip }, () =>
  withPage(async (page, { problems, base }) => {
    const codec = new Codec({ models: [TINY], device: "wasm", threads: 1 });
    const { icc } = await codec.read(golden("valid", "metadata")); // sRGB
    const view = new DataView(icc.buffer, icc.byteOffset);
    const tags = Array.from({ length: view.getUint32(128) }, (_, i) => 132 + 12 * i);
    const at = (name) => tags.find((tag) => String.fromCharCode(...icc.subarray(tag, tag + 4)) === name);
    const [red, green] = [at("rXYZ"), at("gXYZ")];
    icc.set([0x67], red); // each other's name: what was red is green
    icc.set([0x72], green);
    const stored = scene(64, 64, (x, y, pixel) => pixel.splice(0, 3, 200, 60, 40));
    const data = await codec.encode(stored, { quality: 90, icc });
    await page.goto(`${base}?model=tests/data/bundles/tiny`);
    await choose(page, onDisk("profile.aec", data));
    await compared(page);
    const shown = await page.$eval("#left-canvas", (canvas) => [
      ...canvas.getContext("2d").getImageData(32, 32, 1, 1).data,
    ]);
    for (const [i, wanted] of [60, 200, 40, 255].entries()) {
      assert.ok(Math.abs(shown[i] - wanted) < 30, String(shown));
    }
    assert.deepEqual(problems, []);
  }),
);

test("pictures are dropped and pasted, too", { skip }, () =>
  withPage(async (page, { problems, base }) => {
    await page.goto(`${base}?model=tests/data/bundles/tiny`);
    const give = (kind, name) =>
      page.evaluate(
        async (kind, name) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([await (await fetch(`tests/${name}`)).blob()], name.split("/").at(-1)));
          const event =
            kind === "drop"
              ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
              : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true });
          document.body.dispatchEvent(event);
          return event.defaultPrevented;
        },
        kind,
        name,
      );
    assert.ok(await give("drop", "data/budgie.png"), "else the browser would leave the page for the picture");
    await page.waitForFunction(() => document.getElementById("facts").textContent.includes("240 × 200, RGB"));
    await compared(page);
    await give("paste", "conformance/valid/grey_40x100.aec");
    await page.waitForFunction(() => document.getElementById("facts").textContent.includes("40 × 100, grey"));
    await compared(page);
    assert.deepEqual(problems, []);
  }),
);

test("a large picture can be worked on in a smaller copy", { skip }, () =>
  withPage(async (page, { problems, base }) => {
    await page.goto(`${base}?model=tests/data/bundles/tiny`);
    const samples = new Uint8Array(2048 * 2000).map((_, p) => ((p % 2048) + p / 2048) / 17);
    await choose(page, onDisk("large.png", await encodePng(samples, 2048, 2000, 1)));
    await page.waitForSelector("#reduce-field:not([hidden])");
    await page.click("#reduce"); // while it is being coded: what comes first is dropped
    await page.waitForFunction(() =>
      document.getElementById("facts").textContent.includes("1431 × 1398, grey"),
    );
    await compared(page);
    assert.deepEqual(await page.$eval("#left-canvas", ({ width, height }) => [width, height]), [1431, 1398]);
    assert.deepEqual(problems, []);
  }),
);

test("AVIF is loaded when it is asked for", { skip }, () =>
  withPage(async (page, { problems }) => {
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    await choose(page, new URL("../../tests/data/budgie.png", import.meta.url).pathname);
    await compared(page);
    assert.ok(!asked.some((url) => url.includes("avif")), "loaded before it was asked for");
    await page.click("#avif");
    await page.waitForFunction(() => document.querySelectorAll("#peers tr")[3]?.cells.length === 5);
    const [own, , , avif] = await page.$$eval("#peers tr", (rows) =>
      rows.map((row) => [...row.cells].map((c) => c.textContent)),
    );
    assert.equal(avif[0], "AVIF");
    assert.ok(Math.abs(parseFloat(avif[1]) / parseFloat(own[1]) - 1) < 0.1, `${avif} ${own}`);
    await page.select("#left", "avif");
    await screenshot(page, "avif");
    assert.deepEqual(problems, []);
  }),
);

test("a second visit needs no network", { skip }, () =>
  withPage(async (page, { problems, base, server }) => {
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.reload(); // now under the service worker, whose headers allow threads
    assert.ok(await page.evaluate(() => crossOriginIsolated));
    await page.click("#sample");
    await compared(page);
    const wanted = await text(page, "#size");
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await page.goto(base);
    await page.click("#sample");
    await compared(page);
    assert.equal(await text(page, "#size"), wanted);
    server.listen(0); // withPage closes it
    assert.deepEqual(
      problems.filter((problem) => !problem.includes("sw.js")),
      [],
    );
  }),
);
