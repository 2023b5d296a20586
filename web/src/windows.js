/** Pictures of any size in bounded memory: float networks run on overlapping windows, as in aecodec/windows.py.
 *
 * A window is an inner part, which tiles the picture, and a halo as wide as the network's receptive field. Positions
 * are those of z: blocks of 64 x 64 pixels. Arrays are flat, [channels, height, width]. */

/** Side of the largest window in blocks, halo included: 1536 pixels, which a phone's memory can hold. */
export const LARGEST = 24;

/** `length` blocks in inner parts [start, stop) of nearly equal size, with the halo [first, last). */
export function spans(length, halo, largest) {
  const room = length <= largest ? largest : Math.max(1, largest - 2 * halo);
  const count = Math.ceil(length / room);
  return Array.from({ length: count }, (_, i) => {
    const start = Math.floor((i * length) / count);
    const stop = Math.floor(((i + 1) * length) / count);
    return { start, stop, first: Math.max(0, start - halo), last: Math.min(length, stop + halo) };
  });
}

/** Every window of a picture of `height` x `width` blocks: {row, column}, each a span. */
export function windows({ height, width }, halo, largest) {
  const columns = spans(width, halo, largest);
  return spans(height, halo, largest).flatMap((row) => columns.map((column) => ({ row, column })));
}

/** A window without its halo. */
export function inner({ row, column }) {
  const bare = (span) => ({ ...span, first: span.start, last: span.stop });
  return { row: bare(row), column: bare(column) };
}

/** The window's part, halo included, of an array of `scale` positions a block -> a new array of type Kind. */
export function cut(array, channels, { height, width }, { row, column }, scale, Kind = array.constructor) {
  const [h, w] = [(row.last - row.first) * scale, (column.last - column.first) * scale];
  const out = new Kind(channels * h * w);
  for (let c = 0, to = 0; c < channels; c++) {
    for (let y = 0; y < h; y++, to += w) {
      const from = ((c * height + row.first) * scale + y) * width * scale + column.first * scale;
      out.set(array.subarray(from, from + w), to);
    }
  }
  return out;
}

/** The inner part of a window's result -> its place in the whole array. */
export function paste(part, array, channels, { height, width }, { row, column }, scale) {
  const [h, w] = [(row.stop - row.start) * scale, (column.stop - column.start) * scale];
  const [outerH, outerW] = [(row.last - row.first) * scale, (column.last - column.first) * scale];
  const [top, left] = [(row.start - row.first) * scale, (column.start - column.first) * scale];
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < h; y++) {
      const from = (c * outerH + top + y) * outerW + left;
      const to = ((c * height + row.start) * scale + y) * width * scale + column.start * scale;
      array.set(part.subarray(from, from + w), to);
    }
  }
}
