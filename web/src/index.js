/** aecodec for the browser and Node: decode(bytes) -> ImageData, encode(ImageData, {quality}) -> bytes. */
import { Codec, info } from "./codec.js";

export { Codec, info };
export * from "./errors.js";
export { DEFAULT_LIMITS } from "./limits.js";
export { encodePng } from "./png.js";

let shared;

/** One Codec with the package's models, made when first needed. */
function codec() {
  shared ??= new Codec();
  return shared;
}

export const decode = (data, options) => codec().decode(data, options);
export const encode = (image, options) => codec().encode(image, options);
