/** aecodec for the browser and for Node.
 *
 * Everything that reads a file raises FormatError, CorruptError, LimitError, ModelError or DeviceError; their names and
 * meaning are those of the Python package. Pictures are ImageData in the browser and, in Node, objects of its shape. */

export interface Picture8 {
  /** RGBA, 4 * width * height, not premultiplied. */
  data: Uint8ClampedArray;
  width: number;
  height: number;
  colorSpace?: string;
}

/** Whole numbers from 0 on, or Infinity. */
export interface Limits {
  /** Width times height; 2^25 unless stated. */
  maxPixels: number;
  maxSide: number;
  maxSections: number;
  /** Bytes of one section's payload. */
  maxSectionSize: number;
  maxGroups: number;
  /** Bytes of one metadata section, inflated; encode() takes no more, either. */
  maxMetadata: number;
  /** Pixels that one byte of a file may stand for, in pictures of more than 2^20. */
  maxPixelsPerByte: number;
}

export interface ModelProgress {
  stage: "model";
  model: string;
  /** Bytes. */
  loaded: number;
  total: number;
}

export interface CodecOptions {
  /** Folders of model bundles: URLs, or paths in Node; unless stated those of the package. The first one encodes, or with
   * `tune` the one of its name without the ending "-perceptual" or with it; files choose among all of them. Of each the
   * manifest is read, the rest of those that are used. */
  models?: (URL | string)[];
  /** Of the float networks. "auto" takes WebGPU where the browser has it; the scale networks never leave WebAssembly. */
  device?: "auto" | "wasm" | "webgpu";
  /** Threads of WebAssembly; more than one needs a cross-origin isolated page. Unless stated onnxruntime-web decides. */
  threads?: number;
  limits?: Partial<Limits>;
  /** Side of the largest window that the float networks see at once, in blocks of 64 pixels: bounds their memory. */
  largestWindow?: number;
  /** Called while a model is loaded. */
  onProgress?: (progress: ModelProgress) => void;
  /** Gives the onnxruntime-web module, where it does not come from npm. */
  loadRuntime?: (kind: "wasm" | "webgpu") => Promise<object>;
  /** Folder with onnxruntime-web's .wasm files, where they are not beside it. */
  runtimePath?: string;
}

export interface Metadata {
  icc?: Uint8Array;
  /** A TIFF structure, without the prefix "Exif\0\0". */
  exif?: Uint8Array;
  xmp?: Uint8Array;
  /** Dots an inch, across and down; encode() takes 0.01 .. 400000. */
  dpi?: [number, number];
}

export type Tune = "psnr" | "perceptual";

export interface EncodeOptions extends Metadata {
  /** 0 (smallest) .. 100 (best); 60 unless stated. */
  quality?: number;
  /** What a byte is spent on: PSNR alone, or what people see; unless stated as the first model has it. */
  tune?: Tune;
  /** false leaves transparency out. */
  alpha?: boolean;
  /** 0 .. 100 codes alpha with loss; unless stated it stays exact. */
  alphaQuality?: number;
  /** 1 .. 8, the EXIF meaning; the pixels are stored as given. */
  orientation?: number;
  /** Called with the share that is done, 0 .. 1. */
  onProgress?: (share: number) => void;
}

export interface DecodeOptions {
  /** Turns the picture upright, as ImageData cannot say how it is to be turned; true unless stated. */
  applyOrientation?: boolean;
  onProgress?: (share: number) => void;
}

/** A decoded file with everything that ImageData cannot hold. */
export interface Decoded extends Metadata {
  /** As stored: orientation not applied. */
  width: number;
  height: number;
  channels: 1 | 3;
  depth: 8 | 16;
  /** [height, width, channels]. */
  samples: Uint8Array | Uint16Array;
  /** [height, width], of the same depth. */
  alpha?: Uint8Array | Uint16Array;
  orientation: number;
  /** CRC-32C of the decoded symbols, which is that of the header. */
  symbolsCrc: number;
  /** Name of the bundle that decoded it. */
  model: string;
}

/** What `aecodec info --json` prints, without file and model_name. */
export interface Info {
  format_version: number;
  width: number;
  height: number;
  channels: number;
  depth: number;
  alpha: boolean;
  orientation: number;
  quality: number;
  level: number;
  model_id: string;
  group_edge: number;
  group_grid: [number, number];
  groups: { size: number; pixel_blocks: number; crc32c: string }[];
  sections: { tag: string; size: number }[];
  symbols_crc32c: string;
  header_crc32c: string;
  bytes: number;
  bpp: number;
}

/** Loads each model once; its methods may be called at the same time. */
export class Codec {
  constructor(options?: CodecOptions);
  readonly limits: Limits;
  /** Loads what decoding needs, with `encoder` also what encoding needs; of the model that encodes for `tune`, or of
   * the one that a file asks for (`info().model_id`). Otherwise that happens at the first call. */
  load(options?: { encoder?: boolean; tune?: Tune; modelId?: string }): Promise<void>;
  /** What the float networks run on. */
  device(): Promise<"wasm" | "webgpu">;
  /** The picture, reduced to 8 bits a channel. */
  decode(data: Uint8Array | ArrayBuffer, options?: DecodeOptions): Promise<ImageData>;
  /** decode() with all of its depth, alpha apart, and metadata. */
  read(data: Uint8Array | ArrayBuffer, options?: { onProgress?: (share: number) => void }): Promise<Decoded>;
  /** A picture -> the bytes of an .aec file. Grey pictures are coded as such. */
  encode(image: Picture8, options?: EncodeOptions): Promise<Uint8Array>;
  info(data: Uint8Array | ArrayBuffer): Promise<Info>;
}

/** Codec.decode() of a shared Codec with the package's models. */
export function decode(data: Uint8Array | ArrayBuffer, options?: DecodeOptions): Promise<ImageData>;
/** Codec.encode() of the same. */
export function encode(image: Picture8, options?: EncodeOptions): Promise<Uint8Array>;
/** Header, sections and checksums; loads no model. */
export function info(data: Uint8Array | ArrayBuffer, limits?: Partial<Limits>): Promise<Info>;

/** Samples [height, width, channels] of 8 or 16 bits -> a PNG file; chunks go before the pixels. */
export function encodePng(
  samples: Uint8Array | Uint8ClampedArray | Uint16Array,
  width: number,
  height: number,
  channels: 1 | 2 | 3 | 4,
  chunks?: [string, Uint8Array][],
): Promise<Uint8Array>;

export const DEFAULT_LIMITS: Readonly<Limits>;

export class AecodecError extends Error {}
export class UsageError extends AecodecError {}
export class InputError extends AecodecError {}
export class FormatError extends AecodecError {}
export class CorruptError extends AecodecError {}
export class LimitError extends AecodecError {}
export class ModelError extends AecodecError {}
export class DeviceError extends AecodecError {}
