/** URLs -> bytes, in the browser and in Node; what is marked as lasting is kept in the browser's Cache. */
import { base, readFile } from "#platform";
import { ModelError } from "./errors.js";

const CACHE = "aecodec-models";

/** @param {URL|string} name @returns {URL} with a slash at its end; a string may be a folder's path in Node. */
export function folder(name) {
  const url = String(name).replace(/\/?$/, "/");
  return new URL(url, base());
}

/**
 * @param {URL} url
 * @param {{key?: string, onBytes?: (n: number) => void}} [options] key: the content's hash; the browser then keeps
 *   the bytes under it. onBytes is called with the number of bytes of each piece that arrives.
 * @returns {Promise<Uint8Array>}
 */
export async function readUrl(url, { key, onBytes = () => {} } = {}) {
  if (url.protocol === "file:" && readFile) {
    const data = await readFile(url).catch((error) => {
      throw new ModelError(`cannot read ${url.pathname}: ${error.code}`);
    });
    onBytes(data.length);
    return new Uint8Array(data.buffer, data.byteOffset, data.length);
  }
  const cache = key && globalThis.caches ? await caches.open(CACHE).catch(() => null) : null;
  const request = key ? `${url.href}?sha256=${key}` : url.href;
  const kept = await cache?.match(request);
  const response = kept ?? (await get(url));
  const data = await collect(response, onBytes);
  if (cache && !kept) await cache.put(request, new Response(data)).catch(() => {}); // storage full: go on without
  return data;
}

/** Drops what has turned out to be damaged. */
export async function forget(url, key) {
  if (globalThis.caches) await (await caches.open(CACHE)).delete(`${url.href}?sha256=${key}`);
}

async function get(url) {
  const response = await fetch(url).catch((error) => {
    throw new ModelError(`cannot load ${url.href}: ${error.message}; is this device online?`);
  });
  if (!response.ok) throw new ModelError(`cannot load ${url.href}: the server answers ${response.status}`);
  return response;
}

async function collect(response, onBytes) {
  const pieces = [];
  let size = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
    size += value.length;
    onBytes(value.length);
  }
  return concat(pieces, size);
}

/** @param {Uint8Array[]} pieces @returns {Uint8Array} */
export function concat(pieces, size = pieces.reduce((sum, piece) => sum + piece.length, 0)) {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
