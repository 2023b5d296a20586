/** The page: opens files, runs the codec in its worker, shows what comes of it. */
import { Client } from "./client.js";
import { bppText, bytesText, decibelText, factsOf, listFacts, timeText } from "./facts.js";
import { Compare } from "./compare.js";
import { isAec, psnr, readPicture, toImageData, toPng } from "./pictures.js";
import { isCanvasExact, NOISE } from "../src/platform/canvas.js";
import { Split } from "./split.js";

const LARGE = 4e6;
const REDUCED = 2e6;
const $ = (id) => document.getElementById(id);

/**
 * opened: the last file that could be read, {name, blob, bytes, fromAec, reference}, which is coded again when a control
 * moves. shown: what is on the stage, the same and coded, the .aec file with what it decodes to; it stays until another
 * is coded. reference: what is compared with.
 */
const state = { opened: null, shown: null };
const split = new Split($("stage"), [$("left-canvas"), $("right-canvas")], $("divider"), $("split"));
const compare = new Compare($("peers"), $("avif"), () => fillChoices());
const client = new Client(({ stage, loaded, total }) =>
  busy(
    stage === "model" ? "Loading the model" : "Loading onnxruntime",
    loaded / total,
    `${bytesText(loaded)} of ${bytesText(total)}`,
  ),
);

function busy(text, share, detail = "") {
  $("busy").hidden = text === "";
  $("busy-text").textContent = detail ? `${text}: ${detail}` : text;
  if (share === undefined) $("progress").removeAttribute("value");
  else $("progress").value = Math.min(1, share);
}

function say(text) {
  $("status").textContent = text;
}

function tell(text) {
  $("error").textContent = text;
  $("error").hidden = false;
}

function fail(error) {
  busy("");
  tell(error.message);
}

/** Only the last thing asked for counts: what was asked before is left unfinished. */
let asked = 0;

async function during(work) {
  const mine = ++asked;
  const current = () => mine === asked;
  $("error").hidden = true;
  try {
    await work(current);
  } catch (error) {
    if (current()) fail(error);
  }
}

const open = (blob, name) =>
  during(async (current) => {
    busy("Reading");
    const data = new Uint8Array(await blob.arrayBuffer());
    const fromAec = isAec(data);
    const coded = fromAec ? await decode(data) : null;
    const reference = coded ? coded.image : await readPicture(blob);
    if (!current()) return;
    const stem = name.replace(/\.[^.]*$/, "") || "picture";
    state.opened = { name: stem, blob, bytes: data.length, fromAec, reference };
    $("reduce").checked = false;
    $("reduce-field").hidden = fromAec || reference.width * reference.height <= LARGE;
    if (!fromAec) {
      await encodeAndShow(current);
      if (current() && !(await isCanvasExact())) tell(`Coded with a little noise: ${NOISE}`);
      return;
    }
    setQuality(coded.facts.quality);
    $("tune").value = coded.picture.model.endsWith("-perceptual") ? "" : "psnr";
    await show(state.opened, { ...coded, data }, current);
  });

const encode = () => during(encodeAndShow);

/** Sliders move faster than networks run: one run at a time, and then only for the last position. */
let running = Promise.resolve();

async function encodeAndShow(current) {
  await running.catch(() => {});
  if (!current()) return;
  running = (async () => {
    const { opened } = state;
    const image = opened.reference;
    const [quality, tune] = [Number($("quality").value), $("tune").value || undefined];
    busy("Encoding");
    const { data, ms } = await client.call("encode", { image, quality, tune }, (share) =>
      busy("Encoding", share),
    );
    const coded = await decode(data);
    if (current()) await show(opened, { ...coded, data, encodeMs: ms }, current);
  })();
  await running;
}

async function decode(data) {
  busy("Decoding");
  const found = await client.call("decode", { data }, (share) => busy("Decoding", share));
  return { ...found, image: await toImageData(found.picture) };
}

async function show(opened, coded, current) {
  const { data, facts, image, ms, encodeMs, device } = coded;
  const { reference } = opened;
  state.shown = { ...opened, coded };
  $("welcome").hidden = true;
  $("work").hidden = false;
  $("size").textContent = bytesText(data.length);
  $("bpp").textContent = bppText(facts.bpp);
  const same = reference === image;
  const quality = same ? undefined : psnr(reference, image);
  $("psnr").textContent = same ? "–" : decibelText(quality);
  $("encode-time").textContent = encodeMs ? timeText(encodeMs) : "–";
  $("decode-time").textContent = timeText(ms);
  $("device").textContent =
    `The networks ran on ${device === "webgpu" ? "WebGPU" : "WebAssembly"}${crossOriginIsolated ? "" : ", one thread"}.`;
  listFacts($("facts"), factsOf(facts, coded.picture.model));
  busy("");
  say(
    `${facts.width} by ${facts.height} pixels, ${bytesText(data.length)}, ${$("psnr").textContent === "–" ? "decoded" : `PSNR ${$("psnr").textContent}`}`,
  );
  compare.reset({ bytes: data.length, psnr: quality, encodeMs, decodeMs: ms });
  fillChoices();
  await compare.run(reference, data.length, current);
}

/** What either side can show: {value: [label, image]}. */
function choices() {
  const { bytes, fromAec, reference, coded } = state.shown;
  const all = { original: [`${fromAec ? "Opened file" : "Original"}, ${bytesText(bytes)}`, reference] };
  all.aec = [`aecodec, ${bytesText(coded.data.length)}`, coded.image];
  for (const [key, { label, image, blob }] of Object.entries(compare.found)) {
    all[key] = [`${label}, ${bytesText(blob.size)}`, image];
  }
  return all;
}

function fillChoices() {
  const all = choices();
  ["left", "right"].forEach((side, i) => {
    const select = $(side);
    const wanted = select.value || (i ? "aec" : "original");
    select.replaceChildren(
      ...Object.entries(all).map(([key, [label]]) => new Option(label.split(",")[0], key)),
    );
    select.value = all[wanted] ? wanted : i ? "aec" : "original";
    const [label, image] = all[select.value];
    $(`${side}-tag`).textContent = label;
    split.show(i, image);
  });
}

function setQuality(value) {
  $("quality").value = String(value);
  $("quality-shown").textContent = $("quality").value;
}

function save(name, data, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([data], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  say(`${name} saved`);
}

async function reduce() {
  await during(async (current) => {
    let image = await readPicture(state.opened.blob);
    if ($("reduce").checked) {
      const factor = Math.sqrt(REDUCED / (image.width * image.height));
      const [resizeWidth, resizeHeight] = [image.width, image.height].map((side) =>
        Math.round(side * factor),
      );
      const bitmap = await createImageBitmap(image, { resizeWidth, resizeHeight, resizeQuality: "high" });
      const context = new OffscreenCanvas(resizeWidth, resizeHeight).getContext("2d");
      context.drawImage(bitmap, 0, 0);
      image = context.getImageData(0, 0, resizeWidth, resizeHeight);
    }
    if (!current()) return;
    state.opened = { ...state.opened, reference: image };
    await encodeAndShow(current);
  });
}

function startCodec() {
  const models = new URLSearchParams(location.search)
    .getAll("model")
    .map((path) => new URL(path, location).href);
  const device = $("gpu").checked ? "webgpu" : "wasm";
  return client.call("start", { device, models: models.length ? models : undefined });
}

function listen() {
  $("file").addEventListener("change", ({ target }) => {
    if (target.files[0]) open(target.files[0], target.files[0].name);
    target.value = "";
  });
  $("sample").addEventListener("click", async () =>
    open(await (await fetch("sample.jpg")).blob(), "sample.jpg"),
  );
  addEventListener("paste", ({ clipboardData }) => {
    const [file] = clipboardData.files;
    if (file) open(file, file.name);
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", ({ relatedTarget }) => {
    if (!relatedTarget) document.body.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    const [file] = event.dataTransfer.files;
    if (file) open(file, file.name);
  });
  $("quality").addEventListener("input", () => setQuality($("quality").value));
  for (const control of ["quality", "tune"]) $(control).addEventListener("change", encode);
  for (const side of ["left", "right"]) $(side).addEventListener("change", fillChoices);
  $("zoom").addEventListener("change", ({ target }) => split.zoom(target.value));
  split.onZoom = (value) =>
    ($("zoom").value = [...$("zoom").options].some((o) => o.value === String(value)) ? String(value) : "");
  $("save-aec").addEventListener("click", () =>
    save(`${state.shown.name}.aec`, state.shown.coded.data, "image/x-aec"),
  );
  $("save-png").addEventListener("click", async () =>
    save(`${state.shown.name}.png`, await toPng(state.shown.coded.picture), "image/png"),
  );
  $("avif").addEventListener("click", () =>
    compare.runAvif(state.shown.reference, state.shown.coded.data.length),
  );
  $("reduce").addEventListener("change", reduce);
  $("gpu").addEventListener("change", () => startCodec().then(encode, fail));
  // Asked only here, since some browsers wake the graphics card for the answer, or complain where there is none.
  const offerGpu = async () =>
    ($("gpu-field").hidden = !(await navigator.gpu?.requestAdapter().catch(() => null)));
  $("settings").addEventListener("toggle", offerGpu, { once: true });
}

listen();
await startCodec();
navigator.serviceWorker?.register("sw.js").catch(() => {}); // a page opened over plain http has none: it still works online
