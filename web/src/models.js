/** Model bundles: a folder's URL -> Bundle. manifest.json, tables.bin and five graphs, as in aecodec/models.py.
 *
 * Files are verified against the manifest's hashes whenever they are read, from the network or from the cache. */
import { ModelError } from "./errors.js";
import { folder, forget, readUrl } from "./source.js";

const FORMAT = 1;
const SCALES = 64;
const WINDOWED = ["analysis", "context", "synthesis"];
const GRAPHS = ["analysis", "scales_first", "context", "scales_second", "synthesis"];
const EXACT = ["tables.bin", "scales_first.onnx", "scales_second.onnx"];
/** What is read of a bundle, beside its manifest. */
export const FILES = ["tables.bin", ...GRAPHS.map((graph) => `${graph}.onnx`)];
/** The models that the package and the site carry; the first encodes where nothing else is said. */
export const SHIPPED = ["fast-perceptual", "fast", "nano", "nano-perceptual"];

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

async function sha256(data) {
  if (!globalThis.crypto?.subtle) {
    throw new ModelError("models cannot be verified on this page: open it over https or from localhost");
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data));
}

/** {file name: sha256 in hex} -> the model id, 16 hex digits. */
async function idOf(hashes) {
  const lines = Object.keys(hashes)
    .sort()
    .map((name) => `${name} ${hashes[name]}\n`);
  return hex((await sha256(new TextEncoder().encode(lines.join("")))).subarray(0, 8));
}

export class Bundle {
  /**
   * Reads and checks the manifest.
   * @param {URL|string} url of the folder; in Node a path, too
   * @returns {Promise<Bundle>}
   */
  static async load(url) {
    const base = folder(url);
    const at = new URL("manifest.json", base);
    const text = new TextDecoder().decode(await readUrl(at));
    let manifest;
    try {
      manifest = JSON.parse(text);
    } catch (error) {
      throw new ModelError(`${at.pathname} is damaged: ${error.message}`);
    }
    if (manifest?.format !== FORMAT) {
      throw new ModelError(
        `${at.pathname}: bundle format ${manifest?.format}; this release reads format ${FORMAT}`,
      );
    }
    const problem = problemOf(manifest);
    if (problem) throw new ModelError(`${at.pathname} is not a valid manifest: ${problem}`);
    const hashes = Object.fromEntries(
      Object.entries(manifest.files).map(([name, { sha256 }]) => [name, sha256]),
    );
    // Float graphs may have been exported anew since the model got its id; what decides the symbols may not.
    const identity = manifest.identity ?? hashes;
    const kept = manifest.precisions?.int8?.context ? [...EXACT, "context.onnx"] : EXACT;
    if (
      manifest.model_id !== (await idOf(identity)) ||
      kept.some((name) => identity[name] !== hashes[name])
    ) {
      throw new ModelError(`${at.pathname}: the model id does not match the files' hashes`);
    }
    return new Bundle(base, manifest);
  }

  constructor(base, manifest) {
    this.base = base;
    this.name = manifest.name;
    /** 16 hex digits: the model id of the files' headers. */
    this.id = manifest.model_id;
    /** Channels of y and z; side of a group in positions of y. */
    this.n = manifest.N;
    this.z = manifest.Z;
    this.group = manifest.group;
    /** How far each float network sees, in blocks of 64 pixels. */
    this.halo = manifest.halo;
    /** [64] what is added to a size before it is rounded down, by scale index; in 32 bits, as aecodec/loaded.py does it. */
    this.rounding = Float32Array.from(manifest.dead_zone, (zone, i) =>
      i < manifest.skip ? -Infinity : 0.5 - Math.fround(zone),
    );
    this.files = manifest.files;
  }

  get modelId() {
    return Uint8Array.from(this.id.match(/../g), (pair) => parseInt(pair, 16));
  }

  bytesOf(names) {
    return names.reduce((sum, name) => sum + this.files[name].bytes, 0);
  }

  /** One file of the bundle, verified. ModelError when it is missing or damaged. */
  async read(name, onBytes) {
    const { sha256: wanted } = this.files[name];
    const url = new URL(name, this.base);
    const data = await readUrl(url, { key: wanted, onBytes });
    if (hex(await sha256(data)) === wanted) return data;
    await forget(url, wanted);
    throw new ModelError(`model ${this.name}: ${url.pathname} is damaged (sha256); load it again`);
  }
}

function problemOf({ name, model_id, N, Z, group, skip, halo, dead_zone, files }) {
  const count = (value, most) => Number.isInteger(value) && value >= 1 && value <= most;
  if (typeof name !== "string" || !/^[0-9a-f]{16}$/.test(model_id)) return "name or model_id";
  if (!count(N, 4096) || !count(Z, 255) || !count(group, 64) || !count(skip, SCALES))
    return "N, Z, group or skip";
  if (!WINDOWED.every((graph) => count(halo?.[graph], 64))) return "halo";
  const zones = Array.isArray(dead_zone) && dead_zone.length === SCALES;
  if (!zones || !dead_zone.every((zone) => zone >= 0 && zone <= 0.5)) return "dead_zone";
  const file = FILES.find((key) => !/^[0-9a-f]{64}$/.test(files?.[key]?.sha256));
  return file ? `it lacks ${file}` : "";
}
