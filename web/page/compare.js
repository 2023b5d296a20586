/** The table of peers at equal bytes: rows for aecodec, JPEG, WebP and AVIF, filled as they come in. */
import { bytesText, timeText } from "./facts.js";
import { avifPeer, browserPeer } from "./peers.js";
import { psnr } from "./pictures.js";

const BROWSER = { jpeg: ["JPEG", "image/jpeg"], webp: ["WebP", "image/webp"] };

const MATCH = 1.1;
const decibels = (value) => (value === Infinity ? "exact" : value.toFixed(2));

export class Compare {
  /** Those that are there: {key: {label, image, blob, ...}}, of the picture that is shown. */
  found = {};
  #rows = {};
  #avifTurn = 0;

  /** onFound is called whenever a peer has come in. */
  constructor(body, avifButton, onFound) {
    Object.assign(this, { body, avifButton, onFound });
  }

  /** A new .aec file is shown; what was compared with the last one is gone. */
  reset({ bytes, psnr: quality, encodeMs, decodeMs }) {
    this.found = {};
    this.#avifTurn++;
    this.avifButton.disabled = false;
    this.body.replaceChildren();
    this.#rows = {};
    const shown = quality === undefined ? "–" : decibels(quality);
    this.#fill("aec", "aecodec", [
      bytesText(bytes),
      shown,
      encodeMs ? timeText(encodeMs) : "–",
      timeText(decodeMs),
    ]);
    this.#rows.aec.psnr = quality;
  }

  /** JPEG and WebP, by the browser's own encoders. current(): whether it is still wanted. */
  async run(image, target, current) {
    for (const [key, [label, type]] of Object.entries(BROWSER)) {
      this.#note(key, label, "…");
      await this.#add(key, label, image, target, current, () => browserPeer(type, image, target));
    }
  }

  async runAvif(image, target) {
    const mine = ++this.#avifTurn;
    const current = () => mine === this.#avifTurn;
    this.avifButton.disabled = true;
    this.#note("avif", "AVIF", "loading the encoder …");
    const onStep = (step) => current() && this.#note("avif", "AVIF", `trial ${step} of about 6 …`);
    await this.#add("avif", "AVIF", image, target, current, () => avifPeer(image, target, onStep));
    if (!current()) return;
    this.avifButton.disabled = false;
    if (this.found.avif) this.avifButton.querySelector("#avif-size")?.remove();
  }

  async #add(key, label, image, target, current, make) {
    try {
      const peer = await make();
      if (!current()) return;
      const quality = psnr(image, peer.image);
      const times = [timeText(peer.encodeMs), timeText(peer.decodeMs)];
      this.#fill(key, label, [bytesText(peer.blob.size), decibels(quality), ...times]);
      // One that cannot become so small is shown, but is no match.
      this.#rows[key].psnr = peer.blob.size <= MATCH * target ? quality : undefined;
      this.found[key] = { ...peer, label };
      this.#mark();
      this.onFound();
    } catch (error) {
      if (current()) this.#note(key, label, error.message);
    }
  }

  #row(key, label) {
    if (!this.#rows[key]) {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = label;
      row.append(head);
      this.body.append(row);
      this.#rows[key] = { row };
    }
    return this.#rows[key].row;
  }

  #fill(key, label, texts) {
    const row = this.#row(key, label);
    while (row.cells.length > 1) row.deleteCell(1);
    for (const text of texts) row.insertCell().textContent = text;
  }

  #note(key, label, text) {
    this.#fill(key, label, [text]);
    this.#row(key, label).cells[1].colSpan = 4;
  }

  /** The best PSNR of those with as many bytes in bold. */
  #mark() {
    const best = Math.max(...Object.values(this.#rows).map(({ psnr: quality }) => quality ?? -Infinity));
    for (const { row, psnr: quality } of Object.values(this.#rows))
      row.classList.toggle("best", quality === best);
  }
}
