/** The AVIF encoder in a worker: libaom, speed 6, 4:4:4, as the project's benchmarks run it. */
const SCRIPT = new URL("./avif-worker.js", import.meta.url);

/** -> encode(image, quality 0..100): Promise<Blob> */
export async function openAvif() {
  const worker = new Worker(SCRIPT, { type: "module" });
  let waiting;
  worker.onmessage = ({ data: { data, error } }) => {
    if (error) waiting.reject(new Error(error));
    else waiting.resolve(data && new Blob([data], { type: "image/avif" }));
  };
  worker.onerror = () => waiting.reject(new Error("the AVIF encoder could not be loaded"));
  const call = (message) =>
    new Promise((resolve, reject) => {
      waiting = { resolve, reject };
      worker.postMessage(message);
    });
  await call({});
  return (image, quality) => call({ image, quality });
}
