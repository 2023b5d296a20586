// The orientation that pictures are saved with: page/exif.js, and the PNG files that it goes into.
import assert from "node:assert/strict";
import { test } from "node:test";
import { withOrientation } from "../page/exif.js";
import { toPng } from "../page/pictures.js";

const ORIENTATION = 0x0112;
const bytes = (text) => new TextEncoder().encode(text);
const xmp = (value) => bytes(`<x:xmpmeta xmlns:tiff="http://ns.adobe.com/tiff/1.0/" ${value}/>`);
const NONE = new Uint8Array();

/** EXIF data of one directory at 8, and `behind` it; entries are [tag, type, count, four bytes of value]. */
function exif(little, entries, { next = 0, behind = NONE } = {}) {
  const end = 10 + 12 * entries.length + 4;
  const out = new Uint8Array(end + behind.length);
  const view = new DataView(out.buffer);
  out.set(bytes(little ? "II" : "MM"));
  view.setUint16(2, 42, little);
  view.setUint32(4, 8, little);
  view.setUint16(8, entries.length, little);
  entries.forEach(([tag, type, count, value], i) => {
    const at = 10 + 12 * i;
    view.setUint16(at, tag, little);
    view.setUint16(at + 2, type, little);
    view.setUint32(at + 4, count, little);
    out.set(value, at + 8);
  });
  view.setUint32(end - 4, next, little);
  out.set(behind, end);
  return out;
}

/** What a strict reader finds: the byte order, the entries of the first directory, and where the next one is. */
function parse(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const little = data[0] === 0x49;
  assert.deepEqual([data[0], view.getUint16(2, little)], [data[1], 42]);
  const first = view.getUint32(4, little);
  assert.equal(first % 2, 0);
  const entries = Array.from({ length: view.getUint16(first, little) }, (_, i) => {
    const at = first + 2 + 12 * i;
    const [tag, type] = [view.getUint16(at, little), view.getUint16(at + 2, little)];
    return [tag, type, view.getUint32(at + 4, little), data.slice(at + 8, at + 12)];
  });
  return { little, entries, next: view.getUint32(first + 2 + 12 * entries.length, little) };
}

/** What it says of the orientation, in the one way that every reader understands. */
function orientationOf(data) {
  const { little, entries } = parse(data);
  const found = entries.filter(([tag]) => tag === ORIENTATION);
  assert.equal(found.length, 1);
  const [, type, count, value] = found[0];
  assert.deepEqual([type, count, value[little ? 1 : 0], value[2], value[3]], [3, 1, 0, 0, 0]);
  return value[little ? 0 : 1];
}

for (const little of [true, false]) {
  const order = little ? "II" : "MM";
  const number = (value, size = 2) => {
    const out = new DataView(new ArrayBuffer(4));
    if (size === 2) out.setUint16(0, value, little);
    else out.setUint32(0, value, little);
    return new Uint8Array(out.buffer);
  };
  const orientation = (value) => [ORIENTATION, 3, 1, number(value)];
  const make = (at) => [0x010f, 2, 7, number(at, 4)]; // "Camera", which stands behind the directory
  const software = [0x0131, 2, 4, bytes("abc\0")];

  test(`${order}: what states the orientation stays as it is`, () => {
    for (const value of [1, 3, 6, 8]) {
      const data = exif(little, [orientation(value), software]);
      assert.equal(withOrientation(data, value), data);
      assert.equal(withOrientation(data, value, xmp('tiff:Orientation="5"')), data);
    }
    const wide = exif(little, [[ORIENTATION, 4, 1, number(6, 4)]]);
    assert.equal(withOrientation(wide, 6), wide);
  });

  test(`${order}: another orientation is changed in place`, () => {
    const behind = bytes("Camera\0");
    for (const [from, to] of [
      [6, 1],
      [1, 6],
      [3, 8],
      [9, 2],
      [0, 5],
    ]) {
      const data = exif(little, [make(50), orientation(from), software], { next: 8, behind });
      const before = data.slice();
      const wanted = exif(little, [make(50), orientation(to), software], { next: 8, behind });
      assert.deepEqual(withOrientation(data, to), wanted);
      assert.deepEqual(data, before);
      const prefixed = Uint8Array.of(...bytes("Exif\0\0"), ...data);
      assert.deepEqual(withOrientation(prefixed, to), wanted);
      assert.deepEqual(withOrientation(prefixed.subarray(6), to), wanted);
    }
  });

  test(`${order}: an orientation of another type is understood, and changed to that which it should have`, () => {
    for (const [type, value] of [
      [4, number(6, 4)],
      [8, number(6)],
      [9, number(6, 4)],
    ]) {
      const data = exif(little, [[ORIENTATION, type, 1, value]]);
      assert.equal(orientationOf(withOrientation(data, 1)), 1);
    }
    for (const odd of [
      [ORIENTATION, 2, 4, bytes("6\0\0\0")],
      [ORIENTATION, 3, 2, number(6)],
      [ORIENTATION, 77, 1, number(6)],
      [ORIENTATION, 4, 1, number(0x60006, 4)],
    ]) {
      const data = exif(little, [odd, software]);
      assert.equal(withOrientation(data, 1), data);
      assert.equal(orientationOf(withOrientation(data, 6)), 6);
    }
    const twice = exif(little, [orientation(6), orientation(3)]);
    assert.deepEqual(withOrientation(twice, 1), exif(little, [orientation(1), orientation(1)]));
  });

  test(`${order}: without one, a new directory has all entries in order`, () => {
    for (const behind of [bytes("Camera\0"), bytes("Camera\0\0")]) {
      const data = exif(little, [make(38), software], { next: 38, behind });
      const found = withOrientation(data, 6);
      const [old, after] = [data.slice(), found.slice(0, data.length)];
      for (const part of [old, after]) part.fill(0, 4, 8); // where the directory is
      assert.deepEqual(after, old);
      assert.deepEqual(parse(found), {
        little,
        entries: [make(38), orientation(6), software],
        next: 38,
      });
      assert.equal(orientationOf(found), 6);
      assert.equal(withOrientation(found, 6), found);
    }
    const empty = withOrientation(exif(little, []), 3);
    assert.deepEqual(parse(empty), { little, entries: [orientation(3)], next: 0 });
    const unsorted = withOrientation(exif(little, [software, make(38)], { behind: bytes("Camera\0") }), 3);
    assert.deepEqual(parse(unsorted).entries, [make(38), orientation(3), software]);
  });

  test(`${order}: where none has to be stated, none is`, () => {
    const data = exif(little, [software]);
    assert.equal(withOrientation(data, 1), data);
    assert.equal(withOrientation(data, 1, xmp('tiff:Orientation="1"')), data);
    assert.equal(withOrientation(data, 1, xmp('tiff:Make="6"')), data);
  });

  test(`${order}: an orientation of XMP is answered`, () => {
    for (const stated of ['tiff:Orientation="6"', "tiff:Orientation = ' 6'", "><tiff:Orientation> 6<"]) {
      const found = withOrientation(exif(little, [software]), 1, xmp(stated));
      assert.deepEqual(parse(found).entries, [orientation(1), software]);
      assert.equal(orientationOf(withOrientation(exif(little, [orientation(6)]), 1, xmp(stated))), 1);
      assert.equal(orientationOf(withOrientation(NONE, 1, xmp(stated))), 1);
      assert.equal(orientationOf(withOrientation(NONE, 3, xmp(stated))), 3);
    }
  });

  test(`${order}: a value that is not there goes, where a new directory is needed`, () => {
    for (const gone of [
      make(56),
      [0x010f, 2, 2 ** 32 - 1, number(8, 4)],
      [0x010f, 12, 2 ** 31, number(2 ** 32 - 1, 4)],
    ]) {
      const turned = exif(little, [gone, orientation(6), software], { next: 8, behind: bytes("Camera\0") });
      for (const value of [1, 6, 8]) {
        const wanted = { little, entries: [orientation(value), software], next: 8 };
        assert.deepEqual(parse(withOrientation(turned, value)), wanted);
      }
      const plain = exif(little, [gone, software]);
      assert.equal(withOrientation(plain, 1), plain);
      assert.deepEqual(parse(withOrientation(plain, 2)).entries, [orientation(2), software]);
    }
  });

  test(`${order}: a directory that is cut is written whole`, () => {
    const whole = exif(little, [make(8), orientation(6), software], { next: 8 });
    for (let length = 0; length < whole.length; length++) {
      const cut = whole.slice(0, length);
      const known = [make(8), orientation(6)].slice(0, Math.max(0, Math.floor((length - 10) / 12)));
      if (known.length < 2) assert.equal(withOrientation(cut, 1), cut);
      else assert.equal(orientationOf(withOrientation(cut, 1)), 1);
      const found = parse(withOrientation(cut, 3));
      assert.deepEqual([found.next, orientationOf(withOrientation(cut, 3))], [0, 3]);
      assert.equal(found.entries[0][0], known.length ? 0x010f : ORIENTATION);
    }
  });
}

const from = (text, ...more) => Uint8Array.of(...bytes(text), ...more);
const DAMAGED = [
  from("no TIFF header"),
  from("II*\0"),
  from("II*\0", 255, 255, 255, 127, 0, 0),
  from("II*\0", 9, 0, 0, 0, 0, 0),
  from("MM\0*", 0, 0, 0, 2, 0, 0),
  from("II\0*", 8, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  from("MI*\0", 8, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  from("Exif\0\0"),
];

for (const [i, data] of DAMAGED.entries()) {
  test(`damaged EXIF ${i} makes room for an orientation, where one is needed`, () => {
    assert.equal(withOrientation(data, 1), data);
    const only = exif(true, [[ORIENTATION, 3, 1, Uint8Array.of(5, 0, 0, 0)]]);
    assert.deepEqual(withOrientation(data, 5), only);
    assert.equal(orientationOf(withOrientation(data, 1, xmp('tiff:Orientation="6"'))), 1);
  });
}

test("damaged EXIF of which a directory is left is kept", () => {
  const data = from("II*\0", 8, 0, 0, 0, 255, 255, 0, 0, 0, 0, 0); // a directory without one whole entry
  assert.equal(withOrientation(data, 1), data);
  assert.equal(orientationOf(withOrientation(data, 5)), 5);
});

test("a directory that can hold no more", () => {
  const full = exif(
    true,
    Array.from({ length: 65535 }, () => [0x8769, 4, 1, NONE]),
  );
  assert.equal(orientationOf(withOrientation(full, 6)), 6);
});

test("no EXIF", () => {
  assert.equal(withOrientation(NONE, 1), NONE);
  assert.deepEqual(withOrientation(NONE, 8), exif(true, [[ORIENTATION, 3, 1, Uint8Array.of(8, 0, 0, 0)]]));
});

/** The contents of a PNG's chunk; undefined where it has none. */
function chunkOf(file, wanted) {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  for (let at = 8; at < file.length; at += 12 + view.getUint32(at)) {
    const type = new TextDecoder().decode(file.subarray(at + 4, at + 8));
    if (type === wanted) return file.slice(at + 8, at + 8 + view.getUint32(at));
  }
  return undefined;
}

test("a PNG states the picture's orientation", async () => {
  const saved = async (picture) => {
    const samples = Uint8Array.of(1, 2);
    return chunkOf(await toPng({ width: 2, height: 1, channels: 1, samples, ...picture }), "eXIf");
  };
  const turned = exif(true, [[ORIENTATION, 3, 1, Uint8Array.of(6, 0, 0, 0)]]);
  assert.equal(orientationOf(await saved({ orientation: 1, exif: turned })), 1);
  assert.deepEqual(await saved({ orientation: 6, exif: turned }), turned);
  assert.deepEqual(await saved({ orientation: 6 }), turned);
  assert.equal(await saved({ orientation: 1 }), undefined);
  assert.equal(orientationOf(await saved({ orientation: 1, xmp: xmp('tiff:Orientation="6"') })), 1);
  const other = exif(false, [[0x0131, 2, 4, bytes("abc\0")]]);
  assert.equal(orientationOf(await saved({ orientation: 8, exif: other })), 8);
});
