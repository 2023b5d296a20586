// The page for everyone: phones, dark screens, fingers, keyboards, screen readers.
// SCREENSHOTS=folder keeps pictures of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readFileSync } from "node:fs";
import { choose, compared, screenshot, SKIP as skip, withPage } from "./browser.mjs";

for (const [what, viewport, scheme] of [
  ["a desk", { width: 1280, height: 860 }, "dark"],
  ["a phone", { width: 360, height: 740, deviceScaleFactor: 2, isMobile: true, hasTouch: true }, "light"],
]) {
  test(`accessible on ${what}`, { skip }, () =>
    withPage(
      async (page, { problems }) => {
        const axe = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        const violations = async () => {
          await page.evaluate(axe);
          const { violations: all } = await page.evaluate(() => axe.run(document));
          return all.map(
            ({ id, nodes }) =>
              `${id}: ${nodes.map(({ html, failureSummary }) => html + failureSummary).join(" ")}`,
          );
        };
        assert.deepEqual(await violations(), []);
        await screenshot(page, `welcome-${viewport.width}`);
        await page.click("#sample");
        await compared(page);
        await page.$$eval("details", (all) => all.forEach((one) => (one.open = true)));
        assert.deepEqual(await violations(), []);
        const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(wide <= room, `${wide} of ${room} pixels`);
        await screenshot(page, `work-${viewport.width}`);
        assert.deepEqual(
          problems.filter((problem) => !problem.includes("adapter")),
          [],
        );
      },
      { viewport },
    ),
  );
}

test("two fingers zoom, one moves", { skip }, () =>
  withPage(
    async (page, { base }) => {
      await page.goto(`${base}?model=tests/data/bundles/tiny`);
      await choose(page, new URL("../../tests/data/budgie.png", import.meta.url).pathname);
      await compared(page);
      await page.evaluate(() => document.getElementById("stage").scrollIntoView());
      const { x, y, width, height } = await (await page.$("#stage")).boundingBox();
      const client = await page.createCDPSession();
      const touch = (type, ...points) =>
        client.send("Input.dispatchTouchEvent", {
          type,
          touchPoints: points.map(([px, py], id) => ({ x: x + px * width, y: y + py * height, id })),
        });
      const view = async () => {
        const [left, top, scale] = (
          await page.$eval("#left-canvas", (canvas) => canvas.style.transform)
        ).match(/-?[\d.]+/g);
        return { left: Number(left), top: Number(top), scale: Number(scale) };
      };
      const before = await view();
      await touch("touchStart", [0.2, 0.6], [0.3, 0.6]);
      for (const far of [0.4, 0.6, 0.8]) await touch("touchMove", [0.2, 0.6], [far, 0.6]);
      await touch("touchEnd");
      const zoomed = await view();
      assert.ok(zoomed.scale > 3 * before.scale, `${before.scale} ${zoomed.scale}`);
      await touch("touchStart", [0.8, 0.3]);
      await touch("touchMove", [0.7, 0.4]);
      await touch("touchEnd");
      const moved = await view();
      assert.ok(
        Math.abs(moved.left - zoomed.left + 0.1 * width) < 2 && moved.scale === zoomed.scale,
        JSON.stringify([zoomed, moved]),
      );
    },
    { viewport: { width: 400, height: 800, isMobile: true, hasTouch: true } },
  ),
);
