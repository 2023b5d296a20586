/** The C core as WebAssembly: its memory, its calls and its errors.  Integers only, as everywhere else.
 *
 * The core allocates nothing. An instance belongs to one call of encode() or decode(), which takes memory from the
 * heap's base upwards and lets go of all of it at once, so calls that run at the same time share nothing. */
import { fromCore, LimitError, ModelError, UsageError } from "./errors.js";
import { readUrl } from "./source.js";

const PAGE = 65536;
const WASM = new URL("../wasm/aecodec.wasm", import.meta.url);
let compiled;

export class Core {
  /** @returns {Promise<Core>} a fresh instance. */
  static async open() {
    compiled ??= readUrl(WASM).then((bytes) => WebAssembly.compile(bytes));
    const module = await compiled.catch((error) => {
      compiled = undefined;
      throw error instanceof WebAssembly.CompileError
        ? new ModelError(
            `aecodec.wasm cannot be compiled (${error.message}); WebAssembly with SIMD is needed`,
          )
        : error;
    });
    return new Core(await WebAssembly.instantiate(module, {}));
  }

  constructor(instance) {
    /** The functions of aecodec.h and exports.c. */
    this.api = instance.exports;
    this.top = this.api.__heap_base.value;
  }

  /** Address of `size` bytes, aligned to 16. */
  alloc(size) {
    const at = Math.ceil(this.top / 16) * 16;
    const missing = at + size - this.api.memory.buffer.byteLength;
    if (missing > 0) {
      try {
        this.api.memory.grow(Math.ceil(missing / PAGE));
      } catch {
        throw new LimitError(`no memory for ${size} bytes more; close other pages or pass smaller limits`);
      }
    }
    this.top = at + size;
    return at;
  }

  /** Runs work() and gives back all memory that it took. Not for asynchronous work. */
  scope(work) {
    const top = this.top;
    try {
      return work();
    } finally {
      this.top = top;
    }
  }

  /** Copies bytes (any typed array) in -> address. */
  put(array) {
    const at = this.alloc(array.byteLength);
    this.u8(at, array.byteLength).set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    return at;
  }

  /** Views of memory; growing it ends them, so none is kept. */
  u8(at, length) {
    return new Uint8Array(this.api.memory.buffer, at, length);
  }

  u32(at, length) {
    return new Uint32Array(this.api.memory.buffer, at, length);
  }

  i16(at, length) {
    return new Int16Array(this.api.memory.buffer, at, length);
  }

  /** @returns {number} CRC-32C, unsigned. */
  crc32c(array, crc = 0) {
    return this.scope(() => this.api.aecodec_crc32c(crc, this.put(array), array.byteLength) >>> 0);
  }

  #string(at) {
    const memory = new Uint8Array(this.api.memory.buffer);
    return new TextDecoder().decode(memory.subarray(at, memory.indexOf(0, at)));
  }

  /** Throws unless status is OK. what, unit, where: the thing, "byte" or "symbol", and its number. */
  check(status, what, unit, where) {
    if (status) throw fromCore(this.statusName(status), this.#message(status, what, unit, where));
  }

  /** The same where symbols are coded: there is no file yet that could be damaged, so the call is wrong. */
  checkCall(status, what, unit, where) {
    if (status) throw new UsageError(this.#message(status, what, unit, where));
  }

  #message(status, what, unit, where) {
    const text = this.#string(this.api.aecodec_status_text(status));
    return `${what}: ${text} at ${unit} ${where} (${this.statusName(status)})`;
  }

  statusName(status) {
    return this.#string(this.api.aecodec_status_name(status));
  }
}
