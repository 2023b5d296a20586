/** Builds the static site in web/dist: scripts bundled, onnxruntime-web, the AVIF encoder and the models beside them.
 *
 *     dist/index.html  style.css  icon.svg  sample.jpg  sw.js  manifest.webmanifest
 *     dist/app/*.js    wasm/aecodec.wasm    ort/  avif/  models/ */
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { build } from "esbuild";
import { copyModels } from "./models.mjs";

const web = new URL("../", import.meta.url);
const dist = new URL("dist/", web);
const packages = new URL("node_modules/", web);
/** Loaded by the page when it is first needed; everything else is kept for offline use at once. */
const LAZY = /^(ort|avif|models)\/.*\.(wasm|onnx|bin)$|webgpu|asyncify|^app\/.*avif/;

async function copy(from, to) {
  await mkdir(new URL("./", new URL(to, dist)), { recursive: true });
  await copyFile(new URL(from, web), new URL(to, dist));
}

async function vendor(name, files, to) {
  for (const file of files)
    await copy(new URL(`${name}/${file}`, packages), `${to}/${file.split("/").at(-1)}`);
}

await rm(dist, { recursive: true, force: true });
await build({
  absWorkingDir: web.pathname,
  entryPoints: {
    main: "page/main.js",
    worker: "page/worker.js",
    "avif-worker": "page/avif-worker.js",
    aecodec: "src/index.js",
  },
  outdir: "dist/app",
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "linked",
  plugins: [{ name: "runtime stays a file of its own: its threads load it again", setup: keepRuntime }],
});

function keepRuntime({ onResolve }) {
  const files = { "onnxruntime-web/webgpu": "ort.webgpu.min.mjs" };
  onResolve({ filter: /^onnxruntime-web/ }, ({ path }) => ({
    path: `../ort/${files[path] ?? "ort.wasm.min.mjs"}`,
    external: true,
  }));
}

for (const file of ["index.html", "style.css", "icon.svg", "manifest.webmanifest"])
  await copy(`page/${file}`, file);
await copy("../tests/data/city.jpg", "sample.jpg");
await copy("wasm/aecodec.wasm", "wasm/aecodec.wasm");
const threaded = (kind) => ["mjs", "wasm"].map((end) => `dist/ort-wasm-simd-threaded${kind}.${end}`);
const runtime = [
  "dist/ort.wasm.min.mjs",
  "dist/ort.webgpu.min.mjs",
  ...threaded(""),
  ...threaded(".asyncify"),
];
await vendor("onnxruntime-web", runtime, "ort");
await vendor("@jsquash/avif", ["codec/enc/avif_enc.wasm"], "avif");
await copyModels(new URL("models/", dist));

const files = (await readdir(dist, { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile())
  .map((entry) => `${entry.parentPath}/${entry.name}`.slice(dist.pathname.length).replace(/^\//, ""))
  .sort();
const hash = createHash("sha256");
for (const file of files) hash.update(file).update(await readFile(new URL(file, dist)));
const shell = files.filter((file) => !LAZY.test(file));
const worker = (await readFile(new URL("page/sw.js", web), "utf8"))
  .replace("__VERSION__", hash.digest("hex").slice(0, 16))
  .replace("__SHELL__", JSON.stringify(shell, null, 1));
await writeFile(new URL("sw.js", dist), worker);
let bytes = 0;
for (const file of shell) bytes += (await stat(new URL(file, dist))).size;
console.log(
  `web/dist: ${files.length + 1} files; ${shell.length} of them, ${Math.round(bytes / 1024)} KiB, are kept at once`,
);
