/** ICC profiles, EXIF and XMP: zlib streams that may have the preset dictionary of docs/format.md, section 4.1.
 * aecodec/metadata.py builds the same bytes and says why. */
import { CorruptError } from "./errors.js";
import { adler32, checkEnd, inflateUnchecked } from "./inflate.js";
import { concat } from "./source.js";

const PRESET = 0x20; // FDICT, in the second byte of a zlib header
const SCHEMAS = [
  ["xmp", "http://ns.adobe.com/xap/1.0/"],
  ["dc", "http://purl.org/dc/elements/1.1/"],
  ["photoshop", "http://ns.adobe.com/photoshop/1.0/"],
  ["xmpMM", "http://ns.adobe.com/xap/1.0/mm/"],
  ["stEvt", "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"],
  ["tiff", "http://ns.adobe.com/tiff/1.0/"],
  ["exif", "http://ns.adobe.com/exif/1.0/"],
];
const XMP =
  '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n' +
  '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 6.0.0">\n' +
  ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n' +
  '  <rdf:Description rdf:about=""\n' +
  SCHEMAS.map(([name, uri]) => `    xmlns:${name}="${uri}"\n`).join("") +
  '   </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>';

/**
 * The payload of iCCP, eXIF or xMPd, inflated to no more than `limit` bytes.
 * @returns {Promise<Uint8Array>} CorruptError, LimitError
 */
export async function inflateMetadata(tag, payload, limit) {
  const what = `section ${tag}`;
  const known = checkHead(what, payload);
  const end = payload.length - 4;
  const raw = known.length ? concat([stored(known), payload.subarray(6, end)]) : payload.subarray(2, end);
  const data = (await inflateUnchecked(what, "deflate-raw", raw, limit, known.length)).slice(known.length);
  await checkEnd(what, payload, data, raw);
  return data;
}

/** The dictionary that the header asks for; empty where it asks for none. */
function checkHead(what, payload) {
  const [method, flags] = payload;
  if (payload.length < 6) throw new CorruptError(`${what}: the zlib stream ends early`);
  if (((method << 8) | flags) % 31 || (method & 15) !== 8 || method >> 4 > 7) {
    throw new CorruptError(`${what}: not a valid zlib stream (incorrect header)`);
  }
  if (!(flags & PRESET)) return new Uint8Array(0);
  const asked = new DataView(payload.buffer, payload.byteOffset).getUint32(2, false);
  if (payload.length < 10 || asked !== adler32(dictionary())) {
    throw new CorruptError(`${what}: a zlib stream with another dictionary than that of the format`);
  }
  return dictionary();
}

/** A block that is not compressed. Platforms know no dictionaries: so it stands before the data. */
function stored(data) {
  const size = data.length;
  return concat([Uint8Array.of(0, size & 255, size >> 8, ~size & 255, (~size >> 8) & 255), data]);
}

let cached;

/** What streams may refer back to as if it stood before them. */
export function dictionary() {
  cached ??= concat([new TextEncoder().encode(XMP), profile()]);
  return cached;
}

/** sRGB as a display profile of ICC version 2. */
function profile() {
  const curve = [text("curv"), words(0, 1024)];
  for (let i = 0; i < 1024; i++) curve.push(halves(linear(i / 1023)));
  const shared = ["rTRC", "gTRC", "bTRC"];
  const tags = [
    ["cprt", [text("text\0\0\0\0Copyright (c) 1998 Hewlett-Packard Company\0")]],
    ["desc", described("sRGB IEC61966-2.1")],
    ["wtpt", [text("XYZ "), words(0, 0xf351, 0x10000, 0x116cc)]],
    ["bkpt", [text("XYZ "), words(0, 0, 0, 0)]],
    ["rXYZ", [text("XYZ "), words(0, 0x6fa2, 0x38f5, 0x0390)]],
    ["gXYZ", [text("XYZ "), words(0, 0x6299, 0xb785, 0x18da)]],
    ["bXYZ", [text("XYZ "), words(0, 0x24a0, 0x0f84, 0xb6cf)]],
    ["dmnd", described("IEC http://www.iec.ch")],
    ["dmdd", described("IEC 61966-2.1 Default RGB colour space - sRGB")],
    ["vued", described("Reference Viewing Condition in IEC61966-2.1")],
    ["view", [text("view"), words(0, 0x13a4fe, 0x145f2e, 0x10cf14, 0x3edcc, 0x4130b, 0x35c9e, 1)]],
    ["lumi", [text("XYZ "), words(0, 0x4c0956, 0x500000, 0x571fe7)]],
    ["meas", [text("meas"), words(0, 1, 0, 0, 0, 0, 0x28f, 2)]],
    ["tech", [text("sig \0\0\0\0CRT ")]],
  ];
  const start = 132 + 12 * (tags.length + shared.length);
  const [table, body] = [[], []];
  let at = start;
  for (const [tag, parts] of tags) {
    const data = concat(parts);
    table.push(text(tag), words(at, data.length));
    body.push(data, new Uint8Array(-data.length & 3));
    at += data.length + (-data.length & 3);
  }
  const tail = concat(curve);
  for (const tag of shared) table.push(text(tag), words(at, tail.length));
  const header = [
    words(at + tail.length),
    text("Lino"),
    words(0x02100000),
    text("mntrRGB XYZ "),
    halves(1998, 2, 9, 6, 49, 0),
    text("acspMSFT"),
    words(0),
    text("IEC sRGB"),
    words(0, 0, 0, 0xf6d6, 0x10000, 0xd32d),
    text("HP  "),
    new Uint8Array(44),
    words(tags.length + shared.length),
  ];
  return concat([...header, ...table, ...body, tail]);
}

/** The transfer function of IEC 61966-2-1, in 16 bits. */
function linear(v) {
  return Math.round(65535 * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
}

function described(name) {
  const size = name.length + 1;
  const after = new Uint8Array(67 - name.length);
  return [
    text("desc"),
    words(0, size),
    text(name),
    new Uint8Array(11),
    Uint8Array.of(size),
    text(name),
    after,
  ];
}

function text(value) {
  return new TextEncoder().encode(value);
}

function words(...values) {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, i) => view.setUint32(4 * i, value, false));
  return new Uint8Array(view.buffer);
}

function halves(...values) {
  return Uint8Array.from(values.flatMap((value) => [value >> 8, value & 255]));
}
