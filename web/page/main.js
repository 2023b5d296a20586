/** The page: opens files, runs the codec in its worker, shows what comes of it. */
import { Client } from "./client.js";
import { bppText, bytesText, decibelText, factsOf, listFacts, timeText } from "./facts.js";
import { Compare } from "./compare.js";
import { isAec, psnr, readPicture, toImageData, toPng } from "./pictures.js";
import { Split } from "./split.js";

const LARGE = 4e6;
const REDUCED = 2e6;
const $ = (id) => document.getElementById(id);

/** What is open. reference: what is compared with; coded: the .aec file and what it decodes to. */
const state = { name: "picture", blob: null, reference: null, originalBytes: 0, coded: null, fromAec: false };
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

function fail(error) {
  busy("");
  $("error").textContent = error.message;
  $("error").hidden = false;
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
    Object.assign(state, {
      name: name.replace(/\.[^.]*$/, "") || "picture",
      blob,
      originalBytes: data.length,
    });
    state.fromAec = isAec(data);
    $("reduce").checked = false;
    $("reduce-field").hidden = true;
    if (state.fromAec) {
      const coded = await decode(data);
      if (!current()) return;
      state.reference = coded.image;
      setQuality(coded.facts.quality);
      $("tune").value = coded.picture.model.endsWith("-perceptual") ? "" : "psnr";
      await show({ ...coded, data }, current);
    } else {
      state.reference = await readPicture(blob);
      const { width, height } = state.reference;
      $("reduce-field").hidden = width * height <= LARGE;
      await encodeAndShow(current);
    }
  });

const encode = () => during(encodeAndShow);

/** Sliders move faster than networks run: one run at a time, and then only for the last position. */
let running = Promise.resolve();

async function encodeAndShow(current) {
  await running.catch(() => {});
  if (!current()) return;
  running = (async () => {
    const image = state.reference;
    const [quality, tune] = [Number($("quality").value), $("tune").value || undefined];
    busy("Encoding");
    const { data, ms } = await client.call("encode", { image, quality, tune }, (share) =>
      busy("Encoding", share),
    );
    const coded = await decode(data);
    if (current()) await show({ ...coded, data, encodeMs: ms }, current);
  })();
  await running;
}

async function decode(data) {
  busy("Decoding");
  const found = await client.call("decode", { data }, (share) => busy("Decoding", share));
  return { ...found, image: await toImageData(found.picture) };
}

async function show(coded, current) {
  const { data, facts, image, ms, encodeMs, device } = coded;
  state.coded = coded;
  $("welcome").hidden = true;
  $("work").hidden = false;
  $("size").textContent = bytesText(data.length);
  $("bpp").textContent = bppText(facts.bpp);
  const same = state.reference === image;
  const quality = same ? undefined : psnr(state.reference, image);
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
  await compare.run(state.reference, data.length, current);
}

/** What either side can show: {value: [label, image]}. */
function choices() {
  const reference = state.fromAec ? "Opened file" : "Original";
  const all = { original: [`${reference}, ${bytesText(state.originalBytes)}`, state.reference] };
  all.aec = [`aecodec, ${bytesText(state.coded.data.length)}`, state.coded.image];
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

function save(data, type, end) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([data], { type }));
  link.download = `${state.name}.${end}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  say(`${link.download} saved`);
}

async function reduce() {
  await during(async (current) => {
    let image = await readPicture(state.blob);
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
    state.reference = image;
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
  $("save-aec").addEventListener("click", () => save(state.coded.data, "image/x-aec", "aec"));
  $("save-png").addEventListener("click", async () =>
    save(await toPng(state.coded.picture), "image/png", "png"),
  );
  $("avif").addEventListener("click", () => compare.runAvif(state.reference, state.coded.data.length));
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
