/** The five graphs of a bundle as callables.
 *
 *     analysis        x [1, 3, H, W], quality            -> y [N, h, w], zHat [Z, h/4, w/4]
 *     scalesFirst     zHat [G, Z, e/4, e/4], mask, level -> indexFirst [G, N, e, e], features [G, S, e, e]
 *     context         y, zHat, quality, indexFirst       -> first, residual [N, h, w] both
 *     scalesSecond    features, first, mask, level       -> indexSecond [G, N, e, e]
 *     synthesis       symbols [N, h, w], zHat, quality   -> xHat [3, H, W]
 *
 * h = H/16; e: side of a group; G: groups run together. The two scale networks are integers held in float32. The
 * float networks see a large picture in windows, which datapath.js cuts. */
import { openSession } from "./session.js";

const ENCODER = ["analysis", "context"];
const COMMON = ["scales_first", "scales_second", "synthesis"];

export class Networks {
  constructor(bundle, runtime) {
    this.bundle = bundle;
    this.runtime = runtime;
    this.sessions = {};
  }

  /** How many bytes have to be loaded still, those left out that another call is loading. */
  missing(encoding) {
    const graphs = needed(encoding).filter((name) => !this.sessions[name]);
    return this.bundle.bytesOf(graphs.map((name) => `${name}.onnx`));
  }

  /** Loads what is missing, one graph after the other, and waits for the rest. onBytes: see readUrl. */
  async load(encoding, onBytes) {
    let before;
    const sessions = needed(encoding).map(
      (name) => (before = this.sessions[name] ??= this.#open(name, before, onBytes)),
    );
    await Promise.all(sessions);
  }

  async #open(name, before, onBytes) {
    try {
      await before;
      return await openSession(this.runtime, name, await this.bundle.read(`${name}.onnx`, onBytes));
    } catch (error) {
      delete this.sessions[name];
      throw error;
    }
  }

  async #run(name, inputs) {
    return (await this.sessions[name])(inputs);
  }

  async analysis(x, [h, w], quality) {
    const [y, zHat] = await this.#run("analysis", {
      x: ["float32", x, [1, 3, h, w]],
      quality: scalar(quality),
    });
    return { y, zHat };
  }

  async scalesFirst(zHat, mask, groups, level) {
    const { z, group } = this.bundle;
    const side = group / 4;
    const [index, features] = await this.#run("scales_first", {
      z_hat: ["float32", zHat, [groups, z, side, side]],
      mask: ["float32", mask, [groups, 1, side, side]],
      level: whole(level),
    });
    return { index, features };
  }

  /** h, w: positions of y. */
  async context(y, zHat, indexFirst, [h, w], quality) {
    const { n, z } = this.bundle;
    const [first, residual] = await this.#run("context", {
      y: ["float32", y, [1, n, h, w]],
      z_hat: ["float32", zHat, [1, z, h / 4, w / 4]],
      quality: scalar(quality),
      index_first: ["uint8", indexFirst, [1, n, h, w]],
    });
    return { first, residual };
  }

  async scalesSecond(features, first, mask, groups, level) {
    const { n, group } = this.bundle;
    const channels = features.length / (groups * group * group);
    const [index] = await this.#run("scales_second", {
      features: ["float32", features, [groups, channels, group, group]],
      symbols_first: ["float32", first, [groups, n, group, group]],
      mask: ["float32", mask, [groups, 1, group / 4, group / 4]],
      level: whole(level),
    });
    return index;
  }

  async synthesis(symbols, zHat, [h, w], quality) {
    const { n, z } = this.bundle;
    const [xHat] = await this.#run("synthesis", {
      symbols: ["float32", symbols, [1, n, h, w]],
      z_hat: ["float32", zHat, [1, z, h / 4, w / 4]],
      quality: scalar(quality),
    });
    return xHat;
  }
}

const needed = (encoding) => (encoding ? [...COMMON, ...ENCODER] : COMMON);
const scalar = (value) => ["float32", Float32Array.of(value), [1]];
const whole = (value) => ["int64", BigInt64Array.of(BigInt(value)), [1]];
