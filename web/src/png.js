/** Planes and pictures of 8 or 16 bits <-> PNG (ISO/IEC 15948).
 *
 * Alpha planes need it: a canvas would change their depth, and a library would inflate a hostile one without end. */
import { CorruptError, LimitError } from "./errors.js";
import { deflate, inflate } from "./inflate.js";
import { concat } from "./source.js";

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];
/** The last bytes of IHDR, and the largest number that stands for a method. */
const METHODS = [
  ["compression", 0],
  ["filter", 0],
  ["interlace", 1],
];
const COLOUR_TYPE = { 1: 0, 2: 4, 3: 2, 4: 6 };

/** Section ALPH -> Uint8Array or Uint16Array [height * width]. CorruptError unless it is a grey PNG of this kind. */
export async function decodeGrey(payload, width, height, depth) {
  const what = "section ALPH";
  const { head, data } = readChunks(payload, what);
  const found = [head.getUint32(0), head.getUint32(4), head.getUint8(8), head.getUint8(9)];
  if (String(found) !== String([width, height, depth, 0])) {
    throw new CorruptError(
      `${what}: a PNG of ${found[0]} x ${found[1]}, ${found[2]} bits, colour type ${found[3]}; ` +
        `${width} x ${height}, ${depth} bits, colour type 0 is needed`,
    );
  }
  const passes = head.getUint8(12) ? ADAM7 : [[0, 0, 1, 1]];
  const sizes = passes.map(([x, y, dx, dy]) => [Math.ceil((width - x) / dx), Math.ceil((height - y) / dy)]);
  const bytes = depth / 8;
  const total = sizes.reduce((sum, [w, h]) => sum + (w > 0 && h > 0 ? h * (1 + w * bytes) : 0), 0);
  const raw = await inflate(what, data, total).catch((error) => {
    if (!(error instanceof LimitError)) throw error;
    throw new CorruptError(`${what}: not a valid PNG: more than ${total} bytes`);
  });
  if (raw.length !== total)
    throw new CorruptError(`${what}: not a valid PNG: ${raw.length} bytes of ${total}`);
  const plane = new (depth === 8 ? Uint8Array : Uint16Array)(width * height);
  let at = 0;
  passes.forEach(([x0, y0, dx, dy], pass) => {
    const [w, h] = sizes[pass];
    if (w <= 0 || h <= 0) return;
    unfilter(raw.subarray(at, at + h * (1 + w * bytes)), w * bytes, h, bytes, what);
    for (let y = 0; y < h; y++) {
      at++;
      for (let x = 0; x < w; x++, at += bytes) {
        plane[(y0 + y * dy) * width + x0 + x * dx] = bytes === 1 ? raw[at] : (raw[at] << 8) | raw[at + 1];
      }
    }
  });
  return plane;
}

function readChunks(payload, what) {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const broken = (why) => new CorruptError(`${what}: not a valid PNG: ${why}`);
  if (payload.length < 8 || SIGNATURE.some((byte, i) => payload[i] !== byte))
    throw broken("no PNG signature");
  const pieces = [];
  let head;
  let before;
  for (let at = 8; ;) {
    if (at + 12 > payload.length) throw broken("it is cut short");
    const size = view.getUint32(at);
    const type = String.fromCharCode(...payload.subarray(at + 4, at + 8));
    if (size > payload.length - at - 12) throw broken("it is cut short");
    if (crc32(payload.subarray(at + 4, at + 8 + size)) !== view.getUint32(at + 8 + size)) {
      throw broken(`the checksum of ${type} does not match`);
    }
    if (!head && (type !== "IHDR" || size !== 13)) throw broken("IHDR is not first");
    if (head && type === "IHDR") throw broken("IHDR is there twice");
    head ??= new DataView(view.buffer, view.byteOffset + at + 8, 13);
    if (type === "IDAT") {
      if (pieces.length && before !== type) throw broken("its IDAT chunks do not follow each other");
      pieces.push(payload.subarray(at + 8, at + 8 + size));
    }
    at += 12 + size;
    if (type === "IEND") {
      if (size || at !== payload.length) throw broken("it does not end with an empty IEND");
      break;
    }
    before = type;
  }
  METHODS.forEach(([name, most], i) => {
    const method = head.getUint8(10 + i);
    if (method > most) throw broken(`${name} method ${method}`);
  });
  const data = concat(pieces);
  if (data.length < 6) throw broken("it has no pixels");
  return { head, data };
}

/** Rows of a filter byte and `stride` bytes, in place. */
function unfilter(rows, stride, height, bytes, what) {
  for (let y = 0, at = 0; y < height; y++) {
    const filter = rows[at++];
    if (filter > 4) throw new CorruptError(`${what}: not a valid PNG: filter ${filter}`);
    for (let x = 0; x < stride; x++, at++) {
      const left = x < bytes ? 0 : rows[at - bytes];
      const up = y === 0 ? 0 : rows[at - stride - 1];
      const corner = x < bytes || y === 0 ? 0 : rows[at - stride - 1 - bytes];
      rows[at] += [0, left, up, (left + up) >> 1, filter === 4 ? paeth(left, up, corner) : 0][filter];
    }
  }
}

function paeth(a, b, c) {
  const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
  if (pa <= pb && pa <= pc) return a;
  return pb <= pc ? b : c;
}

/**
 * Samples [height, width, channels] -> a PNG file.
 * @param {Uint8Array|Uint8ClampedArray|Uint16Array} samples 16 bits where they are an Uint16Array
 * @param {[string, Uint8Array][]} [chunks] more chunks: name and contents, those for before the pixels
 * @returns {Promise<Uint8Array>}
 */
export async function encodePng(samples, width, height, channels, chunks = []) {
  const bytes = samples.BYTES_PER_ELEMENT;
  const stride = width * channels * bytes;
  const rows = new Uint8Array(height * (stride + 1));
  let [line, above] = [new Uint8Array(stride), new Uint8Array(stride)];
  for (let y = 0, from = 0; y < height; y++) {
    for (let i = 0; i < stride; i += bytes, from++) {
      if (bytes === 2) line[i] = samples[from] >> 8;
      line[i + bytes - 1] = samples[from] & 255;
    }
    const at = y * (stride + 1);
    rows[at] = y ? 2 : 1; // each row as the difference to the one above, the first to its left neighbours
    for (let i = 0; i < stride; i++) {
      const before = y ? above[i] : i < channels * bytes ? 0 : line[i - channels * bytes];
      rows[at + 1 + i] = line[i] - before;
    }
    [line, above] = [above, line];
  }
  const head = new DataView(new ArrayBuffer(13));
  head.setUint32(0, width);
  head.setUint32(4, height);
  head.setUint8(8, 8 * bytes);
  head.setUint8(9, COLOUR_TYPE[channels]);
  const all = [
    ["IHDR", new Uint8Array(head.buffer)],
    ...chunks,
    ["IDAT", await deflate(rows)],
    ["IEND", new Uint8Array()],
  ];
  return concat([SIGNATURE, ...all.flatMap(([type, data]) => chunk(type, data))]);
}

function chunk(type, data) {
  const body = concat([new TextEncoder().encode(type), data]);
  const ends = [data.length, crc32(body)].map((value) => {
    const word = new DataView(new ArrayBuffer(4));
    word.setUint32(0, value);
    return new Uint8Array(word.buffer);
  });
  return [ends[0], body, ends[1]];
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(data) {
  let crc = 0xffffffff;
  for (const byte of data) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}
