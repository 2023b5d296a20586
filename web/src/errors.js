/** Every error that this package raises on purpose, with the names and the meaning of aecodec/errors.py. */

export class AecodecError extends Error {
  /** @param {string} message What failed, where, and what to do. */
  constructor(message) {
    super(message);
    this.name = new.target.name;
  }
}

/** A call that makes no sense. */
export class UsageError extends AecodecError {
  static name = "UsageError";
}
/** A picture that cannot be read or that is of an unsupported kind. */
export class InputError extends AecodecError {
  static name = "InputError";
}
/** Not an aec file, or a version or feature that this release does not know. */
export class FormatError extends AecodecError {
  static name = "FormatError";
}
/** A damaged aec file: a checksum, a cut, or contents that no encoder writes. */
export class CorruptError extends AecodecError {
  static name = "CorruptError";
}
/** Larger than the limits in force; see limits.js. */
export class LimitError extends AecodecError {
  static name = "LimitError";
}
/** The model bundle is missing, unknown or damaged. */
export class ModelError extends AecodecError {
  static name = "ModelError";
}
/** onnxruntime-web is missing, cannot be started, or failed. */
export class DeviceError extends AecodecError {
  static name = "DeviceError";
}

const FROM_CORE = {
  NOT_AEC: FormatError,
  BAD_VERSION: FormatError,
  UNSUPPORTED: FormatError,
  TRUNCATED: CorruptError,
  CORRUPT: CorruptError,
  BAD_CRC: CorruptError,
  DUPLICATE_SECTION: CorruptError,
  MISSING_SECTION: CorruptError,
  BAD_ORDER: CorruptError,
  TRAILING_DATA: CorruptError,
  BAD_INDEX: CorruptError, // only a file whose model has other tables has such an index
  LIMIT: LimitError,
};

/** The error for a status of the C core, by its name; the caller's own mistakes become UsageError. */
export function fromCore(name, message) {
  return new (FROM_CORE[name] ?? UsageError)(message);
}
