/** {} -> {} when the encoder is loaded; {image, quality} -> {data} or {error}. */
import factory from "@jsquash/avif/codec/enc/avif_enc.js";
import { defaultOptions } from "@jsquash/avif/meta.js";

const WASM = new URL("../avif/avif_enc.wasm", import.meta.url).href;
const YUV444 = 3;
let encoder;

onmessage = async ({ data: { image, quality } }) => {
  try {
    encoder ??= factory({ noInitialRun: true, locateFile: () => WASM });
    const module = await encoder;
    if (!image) return postMessage({});
    const options = { ...defaultOptions, quality, speed: 6, subsample: YUV444 };
    const pixels = new Uint8Array(image.data.buffer, image.data.byteOffset, image.data.length);
    const data = module.encode(pixels, image.width, image.height, options);
    if (!data) throw new Error("the AVIF encoder failed");
    postMessage({ data: data.slice() });
  } catch (error) {
    postMessage({ error: error.message });
  }
};
