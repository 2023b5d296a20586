/** Codec: loads models, and turns pictures into files and back. The data path is encoder.js and decoder.js. */
import { toImage } from "#platform";
import { readFile } from "./container.js";
import { Core } from "./core.js";
import { decodeFile } from "./decoder.js";
import { encodeFile } from "./encoder.js";
import { InputError, ModelError, UsageError } from "./errors.js";
import { hide } from "./alpha.js";
import { limitsOf } from "./limits.js";
import { Bundle, hex, SHIPPED } from "./models.js";
import { Networks } from "./networks.js";
import { fromImageData, toRgba, turn } from "./pixels.js";
import { packSections } from "./sections.js";
import { openRuntime } from "./session.js";
import { parseTables } from "./tables.js";
import { LARGEST } from "./windows.js";

/** Quality 0..100 of the interface -> level 0..63 of the file. */
export const LEVELS_PER_QUALITY = 0.63;
const QUALITY = 60;
const PERCEPTUAL = "-perceptual";
/** What models are trained for, and how their names end. */
const TUNES = new Map([
  ["psnr", ""],
  ["perceptual", PERCEPTUAL],
]);
/** Where the models of the package are; in two steps, since bundlers take a literal for a file of theirs. */
const PLACES = SHIPPED.map((name) => `../models/${name}/`);

/**
 * @typedef {object} Model  A bundle that is loaded.
 * @property {Bundle} bundle
 * @property {Networks} networks
 * @property {ReturnType<typeof parseTables>} tables
 * @property {number} largest  blocks of a window's side
 */

export class Codec {
  #options;
  #bundles;
  #models = new Map();
  #runtime;

  /** See CodecOptions in index.d.ts. */
  constructor({
    models = PLACES.map((place) => new URL(place, import.meta.url)),
    limits,
    largestWindow = LARGEST,
    onProgress = () => {},
    ...runtime
  } = {}) {
    if (!models.length) throw new UsageError("models: the folder of one bundle at least is needed");
    this.limits = limitsOf(limits);
    this.#options = { models, largestWindow, onProgress, runtime };
  }

  async #listed() {
    this.#bundles ??= Promise.all(this.#options.models.map((url) => Bundle.load(url)));
    return this.#bundles.catch((error) => {
      this.#bundles = undefined;
      throw error;
    });
  }

  async #opened() {
    this.#runtime ??= openRuntime(this.#options.runtime);
    return this.#runtime.catch((error) => {
      this.#runtime = undefined;
      throw error;
    });
  }

  /** The bundle with this id, 16 hex digits; without one that which encodes for `tune`, or the first. */
  async #find({ id, tune }) {
    const tuned = tune !== undefined && tune !== null;
    if (tuned && !TUNES.has(tune))
      throw new UsageError(`tune "${String(tune)}" is unknown; use one of ${[...TUNES.keys()].join(", ")}`);
    const bundles = await this.#listed();
    const [{ name }] = bundles;
    const plain = name.endsWith(PERCEPTUAL) ? name.slice(0, -PERCEPTUAL.length) : name;
    const wanted = tuned ? plain + TUNES.get(tune) : name;
    const bundle = bundles.find((one) => (id ? one.id === id : one.name === wanted));
    if (bundle) return bundle;
    const names = bundles.map((one) => `${one.name} (${one.id})`).join(", ");
    const what = id ? `the file needs model ${id}` : `tune "${tune}" needs model ${wanted}`;
    throw new ModelError(`${what}, which is not among those known: ${names}. Add its folder to models`);
  }

  /** The model for `which`, {id} or {tune}. Loads what is needed and missing. */
  async #model(which, encoding) {
    const bundle = await this.#find(which);
    if (!this.#models.has(bundle.id)) {
      const opening = this.#open(bundle);
      this.#models.set(bundle.id, opening);
      opening.catch(() => this.#models.delete(bundle.id));
    }
    const model = await this.#models.get(bundle.id);
    await this.#loadGraphs(model, encoding);
    return model;
  }

  /** A bundle -> Model, its graphs not loaded yet. */
  async #open(bundle) {
    const runtime = await this.#opened();
    const tables = parseTables(await Core.open(), await bundle.read("tables.bin"));
    if (tables.z !== bundle.z) {
      throw new ModelError(
        `model '${bundle.name}': tables.bin is for ${tables.z} channels of z, the manifest says ${bundle.z}`,
      );
    }
    return { bundle, tables, networks: new Networks(bundle, runtime), largest: this.#options.largestWindow };
  }

  async #loadGraphs({ bundle, networks }, encoding) {
    const total = networks.missing(encoding);
    let loaded = 0;
    await networks.load(encoding, (n) => {
      loaded += n;
      this.#options.onProgress({ stage: "model", model: bundle.name, loaded, total });
    });
  }

  /** What the float networks run on; starts it. @returns {Promise<"wasm"|"webgpu">} */
  async device() {
    return (await this.#opened()).kind;
  }

  /** See index.d.ts; so for all that follows. */
  async load({ encoder = false, tune, modelId } = {}) {
    await this.#model({ id: modelId, tune }, encoder);
  }

  async info(data) {
    return info(data, this.limits);
  }

  async read(data, { onProgress = () => {} } = {}) {
    const core = await Core.open();
    const parsed = readFile(core, bytesOf(data), this.limits);
    const model = await this.#model({ id: hex(parsed.header.modelId) }, false);
    return decodeFile(model, core, parsed, this.limits, onProgress);
  }

  async decode(data, { applyOrientation = true, onProgress } = {}) {
    const picture = await this.read(data, { onProgress });
    const image = turn(toRgba(picture), applyOrientation ? picture.orientation : 1);
    return toImage(image);
  }

  async encode(
    image,
    { quality, tune, alpha = true, alphaQuality, orientation = 1, onProgress, ...metadata } = {},
  ) {
    const stored = storedQuality(quality ?? QUALITY);
    const exact = alphaQuality === undefined || alphaQuality === null;
    const storedOfAlpha = exact ? undefined : storedQuality(alphaQuality);
    const picture = fromImageData(image, this.limits, alpha);
    picture.samples = hide(picture);
    const lossy = picture.alpha && !exact;
    const { width, height } = picture;
    const sections = await packSections({
      ...metadata,
      width,
      height,
      alpha: lossy ? undefined : picture.alpha,
      limit: this.limits.maxMetadata,
    });
    const core = await Core.open();
    const model = await this.#model({ tune }, true);
    if (lossy) {
      const plane = { width, height, channels: 1, depth: 8, samples: picture.alpha };
      sections.ALPC = await encodeFile(model, core, plane, {}, storedOfAlpha);
    }
    return encodeFile(model, core, picture, sections, stored, orientation, onProgress);
  }
}

function storedQuality(quality) {
  if (typeof quality !== "number")
    throw new UsageError(`quality ${String(quality)}: a number from 0 to 100 is needed`);
  if (!(quality >= 0 && quality <= 100)) throw new UsageError(`quality ${quality} is outside 0..100`);
  return Math.round(quality * LEVELS_PER_QUALITY * 256);
}

function bytesOf(data) {
  // Node's Buffer is made an Uint8Array: its slice() does not copy.
  if (data instanceof Uint8Array) return new Uint8Array(data.buffer, data.byteOffset, data.length);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  throw new InputError("the bytes of an .aec file are needed: Uint8Array or ArrayBuffer");
}

/** Header, sections and checksums of a file; loads no model. The keys are those of `aecodec info --json`. */
export async function info(data, limits) {
  const [bytes, allowed] = [bytesOf(data), limitsOf(limits)];
  const core = await Core.open();
  const { header, list, groups, blocks } = readFile(core, bytes, allowed);
  const { width, height, groupEdge } = header;
  const crc = (value) => value.toString(16).padStart(8, "0");
  const positions = (side) => Math.ceil(side / 64) * 4;
  return {
    format_version: header.version,
    width,
    height,
    channels: header.channels,
    depth: header.depth,
    alpha: header.hasAlpha,
    orientation: header.orientation,
    quality: Math.round((header.quality / 256 / LEVELS_PER_QUALITY) * 100) / 100,
    level: header.quality / 256,
    model_id: hex(header.modelId),
    group_edge: groupEdge,
    group_grid: [Math.ceil(positions(height) / groupEdge), Math.ceil(positions(width) / groupEdge)],
    groups: groups.map((group, g) => ({
      size: group.length + blocks[g].length,
      pixel_blocks: blocks[g].length,
      crc32c: crc(core.crc32c(blocks[g], core.crc32c(group))),
    })),
    sections: list.map(({ tag, size }) => ({ tag, size })),
    symbols_crc32c: crc(header.symbolsCrc),
    header_crc32c: crc(new DataView(bytes.buffer, bytes.byteOffset).getUint32(37, true)),
    bytes: bytes.length,
    bpp: (8 * bytes.length) / (width * height),
  };
}
