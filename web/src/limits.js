/** How much a reader accepts before it allocates anything: docs/format.md, section 11.
 *
 * The number of pixels is what a phone can hold, less than the format's own default; raise it knowingly. */
import { UsageError } from "./errors.js";

export const DEFAULT_LIMITS = Object.freeze({
  /** Width times height: 33.5 million. */
  maxPixels: 2 ** 25,
  /** Width, and height, in pixels. */
  maxSide: 65535 * 4,
  maxSections: 64,
  /** Bytes of one section's payload. */
  maxSectionSize: 2 ** 30,
  maxGroups: 2 ** 16,
  /** Bytes of one metadata section (ICC, EXIF, XMP) after inflation. */
  maxMetadata: 2 ** 26,
  /** Pixels that one byte of a file may stand for, in pictures above FREE_PIXELS. */
  maxPixelsPerByte: 2 ** 13,
});

/** A picture of so few pixels, padding included, may have any number for each byte of its file. */
export const FREE_PIXELS = 2 ** 20;

/** The limits of a caller, the defaults for the rest. UsageError for a name that is none of them, and for what is no
 * whole number from 0 on. */
export function limitsOf(given) {
  const limits = { ...DEFAULT_LIMITS };
  if (given === undefined || given === null) return limits;
  const known = Object.keys(limits);
  const needed = `an object with some of ${known.join(", ")} is needed`;
  // What can be iterated, as an array or a Map, has its contents elsewhere.
  if (typeof given !== "object" || Symbol.iterator in given) {
    throw new UsageError(`limits ${shown(given)}: ${needed}`);
  }
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown !== undefined) throw new UsageError(`limits: ${unknown} is unknown; ${needed}`);
  for (const name of known) {
    const value = given[name];
    if (value === undefined) continue;
    const valid = (Number.isInteger(value) || value === Infinity) && value >= 0;
    if (!valid) {
      throw new UsageError(
        `limits: ${name} ${shown(value)}: a whole number from 0 on, or Infinity, is needed`,
      );
    }
    limits[name] = value;
  }
  return limits;
}

function shown(value) {
  if (typeof value === "string") return `"${value}"`;
  return Array.isArray(value) ? `[${value}]` : String(value);
}
