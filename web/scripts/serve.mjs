/** node scripts/serve.mjs [port]: web/dist at http://localhost:8080, with the headers that allow threads. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";

const TYPES = {
  html: "text/html; charset=utf-8",
  js: "text/javascript",
  mjs: "text/javascript",
  css: "text/css",
  wasm: "application/wasm",
  json: "application/json",
  svg: "image/svg+xml",
  jpg: "image/jpeg",
  png: "image/png",
  webmanifest: "application/manifest+json",
};

/**
 * @param {URL} root folder, ending in a slash
 * @param {{isolated?: boolean, mounts?: Record<string, URL>}} [options] isolated: the page may use threads;
 *   mounts: more folders, by the path that they appear under
 * @returns {import("node:http").Server} not listening yet
 */
export function staticServer(root, { isolated = true, mounts = {} } = {}) {
  return createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    const mount = Object.keys(mounts).find((prefix) => path.startsWith(prefix)) ?? "/";
    const folder = mounts[mount] ?? root;
    const url = new URL(`./${path.slice(mount.length)}${path.endsWith("/") ? "index.html" : ""}`, folder);
    const found = url.href.startsWith(folder.href) && (await stat(url).catch(() => null));
    if (!found?.isFile()) {
      response.writeHead(404).end("not found\n");
      return;
    }
    response.setHeader("Content-Type", TYPES[url.pathname.split(".").at(-1)] ?? "application/octet-stream");
    response.setHeader("Content-Length", found.size);
    response.setHeader("Cache-Control", "no-cache");
    if (isolated) {
      response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
      response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    }
    createReadStream(url).pipe(response);
  });
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const port = Number(process.argv[2] ?? 8080);
  staticServer(new URL("../dist/", import.meta.url)).listen(port, "localhost", () => {
    console.log(`http://localhost:${port}/`);
  });
}
