/** EXIF data, a TIFF structure, with the orientation that a picture has: what aecodec/exif.py does, with everything
 * else left where it is. */
const ORIENTATION = 0x0112;
const SHORT = 3;
const SIZES = { 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4 }; // by type
const INTEGERS = [SHORT, 4, 8, 9]; // the others are wrong for this tag, but readers take them
const ENTRY = 12;
const PREFIX = [0x45, 0x78, 0x69, 0x66, 0, 0];
const EMPTY = { tiff: Uint8Array.of(0x49, 0x49, 42, 0, 8, 0, 0, 0), little: true, entries: [], next: 0 };

/**
 * EXIF data that states the orientation: `data` itself where it does, or where none has to be stated. Of damaged data,
 * which one reader understands and another does not, there is left what is whole.
 * @param {Uint8Array} data empty where there is none
 * @param {number} orientation 1..8
 * @param {Uint8Array} [xmp] readers take its orientation where EXIF has none, so another one than 1 has to be answered
 */
export function withOrientation(data, orientation, xmp = new Uint8Array()) {
  const found = load(data);
  const places = found?.entries.filter(({ tag }) => tag === ORIENTATION) ?? [];
  const stated = places.length ? valueAt(found, places.at(-1).at) : undefined;
  const needed = orientation !== 1 || orientationOfXmp(xmp) !== 1;
  if (stated === orientation ? found.whole || !needed : stated === undefined && !needed) return data;
  if (!places.length || !found.whole) return appended(found ?? EMPTY, orientation);
  const out = found.tiff.slice();
  for (const { at } of places) writeEntry(viewOf(out), at, orientation, found.little);
  return out;
}

function orientationOfXmp(xmp) {
  const found = /tiff:Orientation\s*(?:=\s*["']|>)\s*(\d)/.exec(new TextDecoder("latin1").decode(xmp));
  return found ? Number(found[1]) : 1;
}

const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** The first directory, and those of its entries that can be read; undefined where there is none. */
function load(data) {
  let tiff = data;
  while (PREFIX.every((byte, i) => tiff[i] === byte)) tiff = tiff.subarray(PREFIX.length);
  const little = tiff[0] === 0x49;
  if (tiff.length < 10 || tiff[0] !== tiff[1] || (!little && tiff[0] !== 0x4d)) return undefined;
  const view = viewOf(tiff);
  const first = view.getUint32(4, little);
  if (view.getUint16(2, little) !== 42 || first < 8 || first + 2 > tiff.length) return undefined;
  const count = view.getUint16(first, little);
  const end = first + 2 + ENTRY * count;
  const entries = [];
  for (let at = first + 2; at < end && at + ENTRY <= tiff.length; at += ENTRY)
    if (hasValue(view, at, little)) entries.push({ tag: view.getUint16(at, little), at });
  const ends = end + 4 <= tiff.length;
  const whole = ends && entries.length === count;
  return { tiff, little, entries, whole, next: ends ? view.getUint32(end, little) : 0 };
}

function hasValue(view, at, little) {
  const size = (SIZES[view.getUint16(at + 2, little)] ?? 0) * view.getUint32(at + 4, little);
  return size <= 4 || view.getUint32(at + 8, little) + size <= view.byteLength;
}

/** 1..8; undefined for anything else. */
function valueAt({ tiff, little }, at) {
  const view = viewOf(tiff);
  const type = view.getUint16(at + 2, little);
  if (!INTEGERS.includes(type) || view.getUint32(at + 4, little) !== 1) return undefined;
  const value = SIZES[type] === 2 ? view.getUint16(at + 8, little) : view.getUint32(at + 8, little);
  return value >= 1 && value <= 8 ? value : undefined;
}

/** A new first directory behind everything: what the old entries point at stays where it is. */
function appended(found, orientation) {
  const kept = found.entries.filter(({ tag }) => tag !== ORIENTATION);
  if (kept.length === 65535) return appended(EMPTY, orientation); // no room for one more
  const { tiff, little, next } = found;
  const entries = [...kept, { tag: ORIENTATION }].sort((a, b) => a.tag - b.tag);
  const first = tiff.length + (tiff.length % 2);
  const end = first + 2 + ENTRY * entries.length;
  const out = new Uint8Array(end + 4);
  const view = viewOf(out);
  out.set(tiff);
  view.setUint32(4, first, little);
  view.setUint16(first, entries.length, little);
  entries.forEach(({ at }, i) => {
    const to = first + 2 + ENTRY * i;
    if (at === undefined) writeEntry(view, to, orientation, little);
    else out.set(tiff.subarray(at, at + ENTRY), to);
  });
  view.setUint32(end, next, little);
  return out;
}

function writeEntry(view, at, orientation, little) {
  view.setUint16(at, ORIENTATION, little);
  view.setUint16(at + 2, SHORT, little);
  view.setUint32(at + 4, 1, little);
  view.setUint16(at + 8, orientation, little);
  view.setUint16(at + 10, 0, little);
}
