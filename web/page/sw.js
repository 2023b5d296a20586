/** Offline: the page's files are kept under a version; the model and the runtime are kept by the page itself.
 *
 * Answers carry the two headers that allow threads, which a plain file server does not send. */
const VERSION = "__VERSION__";
const SHELL = __SHELL__;

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(VERSION)
      .then((cache) => cache.addAll(SHELL.map((file) => new Request(file, { cache: "no-cache" })))),
  );
  self.skipWaiting();
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      const keep = [VERSION, "aecodec-models"];
      for (const name of await caches.keys()) if (!keep.includes(name)) await caches.delete(name);
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  event.respondWith(answer(request, url));
});

async function answer(request, url) {
  const path = url.pathname.endsWith("/") ? `${url.pathname}index.html` : url.pathname;
  const cache = await caches.open(VERSION);
  let response = await cache.match(path);
  if (!response) {
    response = await fetch(request);
    // The page keeps models and the runtime; what is left is the AVIF encoder and WebGPU's scripts.
    const kept = /\.(onnx|bin)$|ort-wasm.*\.wasm$/.test(path);
    if (response.ok && !kept) await cache.put(path, response.clone());
  }
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}
