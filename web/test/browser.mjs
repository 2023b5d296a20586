/** Headless Chromium on the built site, for tests. Not itself a test. */
import { existsSync } from "node:fs";
import puppeteer from "puppeteer-core";
import { staticServer } from "../scripts/serve.mjs";

const PLACES = [
  process.env.CHROME,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];
export const CHROME = PLACES.find((path) => path && existsSync(path));
const BUILT = existsSync(new URL("../dist/index.html", import.meta.url));
/** Why tests cannot run; false where they can. */
export const SKIP = (!CHROME && "no Chromium; name it in CHROME") || (!BUILT && "run: npm run build");

/**
 * work(page, {browser, base, problems}): problems collects everything that the page complains about, and every
 * request to another place. The project's tests are under /tests/.
 */
export async function withPage(work, { isolated = false, args, viewport } = {}) {
  const mounts = { "/tests/": new URL("../../tests/", import.meta.url) };
  const server = staticServer(new URL("../dist/", import.meta.url), { isolated, mounts });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  const base = `http://localhost:${server.address().port}/`;
  const browser = await puppeteer.launch({
    executablePath: CHROME,
    args: ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", ...(args ?? ["--disable-gpu"])],
    protocolTimeout: 280_000,
    defaultViewport: viewport ?? { width: 1280, height: 860 },
  });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(120_000);
    const problems = [];
    page.on("console", (message) => {
      if (["error", "warn", "warning"].includes(message.type()))
        problems.push(`${message.type()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => problems.push(`page error: ${error.message}`));
    page.on("requestfailed", (request) =>
      problems.push(`failed: ${request.url()} ${request.failure()?.errorText}`),
    );
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(base) && !/^(blob|data):/.test(url)) problems.push(`another place: ${url}`);
    });
    await page.goto(base);
    return await work(page, { browser, base, problems, server }).catch(async (error) => {
      const shown = await page.evaluate(() => document.body.innerText).catch(() => "nothing");
      error.message += `\nthe page's problems: ${problems.join("; ") || "none"}\nit shows: ${shown}`;
      throw error;
    });
  } finally {
    await browser.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Where SCREENSHOTS names a folder. */
export async function screenshot(page, name) {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png` });
}

export const text = (page, selector) => page.$eval(selector, (element) => element.textContent);

/** Until JPEG and WebP have come in. */
export async function compared(page) {
  await page.waitForFunction(() => {
    const rows = [...document.querySelectorAll("#peers tr")];
    return (
      document.getElementById("busy").hidden &&
      rows.length >= 3 &&
      rows.every((row) => row.cells.length === 5)
    );
  });
}

/** A file, by its path, as if from the dialogue. */
export async function choose(page, path) {
  const input = await page.$("#file");
  await input.uploadFile(path);
}
