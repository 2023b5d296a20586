/** The latents of one picture as groups of edge x edge positions, in raster order, for the two scale networks.
 *
 * Arrays are flat, [channels, height, width]; those of z have a quarter of every side. */
const SMALL = 6000;
const LEAST_EDGE = 20;
const RIM = 8;

/** Side of the groups for a picture with y of this size: as chooseEdge of aecodec/groups.py. */
export function chooseEdge([height, width], side) {
  const positions = height * width;
  if (positions < SMALL) return side;
  return Math.min(side, Math.max(LEAST_EDGE, Math.floor((Math.sqrt(positions / 10) - RIM) / 4) * 4));
}

export class Groups {
  /** side: of the networks, at least edge; smaller groups stand in its upper left corner. */
  constructor([height, width], edge, side) {
    this.size = { height, width };
    this.side = side;
    /** The valid part of each, in positions of y. */
    this.all = [];
    for (let top = 0; top < height; top += edge) {
      for (let left = 0; left < width; left += edge) {
        this.all.push({
          top,
          left,
          height: Math.min(edge, height - top),
          width: Math.min(edge, width - left),
        });
      }
    }
  }

  /** Numbers of the groups that go through the networks together; wanted: of a number, whether it does. */
  *batches(size, wanted = () => true) {
    const numbers = [...this.all.keys()].filter(wanted);
    for (let from = 0; from < numbers.length; from += size) yield numbers.slice(from, from + size);
  }

  /** Where a group's row of one channel begins in the whole array, and its size; k: 1 for y, 4 for z. */
  #place(number, k) {
    const { top, left, height, width } = this.all[number];
    return { top: top / k, left: left / k, height: height / k, width: width / k };
  }

  /** Height and width of a group's valid part of z. */
  sizeOfZ(number) {
    const { height, width } = this.#place(number, 4);
    return { height, width };
  }

  /** [C, h, w] -> the valid part of a group, copied into a new array of the same type. */
  cut(array, channels, number, k = 1) {
    const { top, left, height, width } = this.#place(number, k);
    const [all, across] = [this.size.height / k, this.size.width / k];
    const out = new array.constructor(channels * height * width);
    for (let c = 0, to = 0; c < channels; c++) {
      for (let y = 0; y < height; y++, to += width) {
        const from = (c * all + top + y) * across + left;
        out.set(array.subarray(from, from + width), to);
      }
    }
    return out;
  }

  /** The valid part of a group -> its place in [C, h, w]. */
  paste(part, array, channels, number, k = 1) {
    const { top, left, height, width } = this.#place(number, k);
    const [all, across] = [this.size.height / k, this.size.width / k];
    for (let c = 0, from = 0; c < channels; c++) {
      for (let y = 0; y < height; y++, from += width) {
        array.set(part.subarray(from, from + width), (c * all + top + y) * across + left);
      }
    }
  }

  /** Valid parts -> Float32Array [G, C, side, side], zero outside. */
  pad(parts, channels, batch, k = 1) {
    const side = this.side / k;
    const out = new Float32Array(parts.length * channels * side * side);
    parts.forEach((part, g) => {
      const { height, width } = this.#place(batch[g], k);
      for (let c = 0, from = 0; c < channels; c++) {
        for (let y = 0; y < height; y++, from += width) {
          out.set(part.subarray(from, from + width), ((g * channels + c) * side + y) * side);
        }
      }
    });
    return out;
  }

  /** [G, C, side, side] -> the valid part of the g-th. */
  valid(array, channels, batch, g) {
    const { side } = this;
    const { height, width } = this.all[batch[g]];
    const out = new array.constructor(channels * height * width);
    for (let c = 0, to = 0; c < channels; c++) {
      for (let y = 0; y < height; y++, to += width) {
        const from = ((g * channels + c) * side + y) * side;
        out.set(array.subarray(from, from + width), to);
      }
    }
    return out;
  }

  /** Float32Array [G, 1, side/4, side/4], 1 inside the picture. */
  mask(batch) {
    const ones = batch.map((number) => {
      const { height, width } = this.#place(number, 4);
      return new Float32Array(height * width).fill(1);
    });
    return this.pad(ones, 1, batch, 4);
  }
}
