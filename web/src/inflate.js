/** zlib streams (RFC 1950) <-> bytes, with the platform's own compressor. */
import { CorruptError, LimitError } from "./errors.js";
import { concat } from "./source.js";

/**
 * Inflates a stream that must end where `payload` ends, and to no more than `limit` bytes.
 * @param {string} what names it in messages
 * @returns {Promise<Uint8Array>} CorruptError, LimitError
 */
export async function inflate(what, payload, limit) {
  const data = await inflateUnchecked(what, "deflate", payload, limit);
  await checkEnd(what, payload, data, payload.subarray(2, payload.length - 4));
  return data;
}

/**
 * The same without a check of what is behind the stream, and `extra` bytes more than `limit`.
 * @param {"deflate"|"deflate-raw"} format
 * @returns {Promise<Uint8Array>} CorruptError, LimitError
 */
export async function inflateUnchecked(what, format, payload, limit, extra = 0) {
  const pieces = [];
  let size = 0;
  try {
    const reader = new Blob([payload]).stream().pipeThrough(new DecompressionStream(format)).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > limit + extra) {
        await reader.cancel().catch(() => {});
        break;
      }
      pieces.push(value);
    }
  } catch (error) {
    throw new CorruptError(`${what}: not a valid zlib stream (${error.message})`);
  }
  if (size > limit + extra) throw new LimitError(`${what}: more than ${limit} bytes after inflation`);
  return concat(pieces, size);
}

/** CorruptError unless the last four bytes of a zlib stream are the checksum of `data`, behind its blocks, `raw`. */
export async function checkEnd(what, payload, data, raw) {
  const end = payload.length - 4;
  if (end < 0) throw new CorruptError(`${what}: the zlib stream ends early`);
  const stated = new DataView(payload.buffer, payload.byteOffset, payload.length).getUint32(end, false);
  // Some platforms pass over what is behind the last block: then they do not miss its last byte.
  const shorter = inflateUnchecked(what, "deflate-raw", raw.subarray(0, -1), Infinity);
  const longer = await shorter.then(Boolean, () => false);
  if (stated !== adler32(data) || longer) {
    throw new CorruptError(`${what}: the zlib stream does not end where it should`);
  }
}

/** @returns {Promise<Uint8Array>} */
export async function deflate(data) {
  const stream = new Blob([data]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** @returns {number} of zlib streams, RFC 1950 */
export function adler32(data) {
  let [a, b] = [1, 0];
  for (let at = 0; at < data.length;) {
    const end = Math.min(at + 3800, data.length); // below, the sums stay in 32 bits
    for (; at < end; at++) {
      a += data[at];
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return ((b << 16) | a) >>> 0;
}
