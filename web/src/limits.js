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

/** The limits of a caller, the defaults for the rest. UsageError for what is no whole number from 0 on. */
export function limitsOf(given) {
  const limits = { ...DEFAULT_LIMITS };
  for (const name of Object.keys(limits)) {
    const value = given?.[name];
    if (value === undefined) continue;
    const valid = (Number.isInteger(value) || value === Infinity) && value >= 0;
    if (!valid) {
      const shown = typeof value === "string" ? `"${value}"` : String(value);
      throw new UsageError(`limits: ${name} ${shown}: a whole number from 0 on, or Infinity, is needed`);
    }
    limits[name] = value;
  }
  return limits;
}
