/** The worker's calls as promises. */
export class Client {
  #worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #last = 0;
  #started = false;
  #failure = null;

  /** onLoading({stage, loaded, total}): bytes of the model or the runtime arrive. */
  constructor(onLoading) {
    this.#worker.onmessage = ({ data: { id, result, error, share, loading } }) => {
      this.#started = true;
      if (loading) return onLoading(loading);
      const { resolve, reject, onProgress } = this.#waiting.get(id);
      if (share !== undefined) return onProgress?.(share);
      this.#waiting.delete(id);
      if (error) return reject(Object.assign(new Error(error.message), { name: error.name }));
      resolve(result);
    };
    this.#worker.onerror = (event) => {
      const failure = new Error(
        `the codec failed (${event.message || "its script was not loaded"}); load the page again`,
      );
      if (!this.#started) this.#failure = failure;
      for (const { reject } of this.#waiting.values()) reject(failure);
      this.#waiting.clear();
    };
  }

  call(name, args, onProgress) {
    const id = ++this.#last;
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, onProgress });
      this.#worker.postMessage({ id, call: name, args });
    });
  }
}
