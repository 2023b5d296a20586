// The declarations are used as a program would use them; tsc refuses a change that breaks such programs.
import { Codec, CorruptError, decode, encode, info, type Info } from "../src/index.js";

export async function roundTrip(image: ImageData): Promise<ImageData> {
  const data: Uint8Array = await encode(image, { quality: 40, alphaQuality: 80, dpi: [72, 72] });
  const facts: Info = await info(data, { maxPixels: 1e6 });
  const codec = new Codec({
    models: ["models/nano/"],
    device: "wasm",
    threads: 1,
    onProgress: ({ loaded }) => loaded,
  });
  const { samples, depth, icc } = await codec.read(data);
  if (facts.width * samples.length * depth === 0) throw new CorruptError(String(icc?.length));
  // @ts-expect-error a quality is a number
  await codec.encode(image, { quality: "best" });
  return decode(data);
}
