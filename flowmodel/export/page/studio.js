// The page's side of worker.js.
export class Studio {
  constructor() {
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.asked = new Map();
    this.count = 0;
    this.worker.onmessage = ({ data: { id, told, result, error } }) => {
      const { resolve, reject, observe } = this.asked.get(id);
      if (told !== undefined) return observe(told);
      this.asked.delete(id);
      return error === undefined ? resolve(result) : reject(new Error(error));
    };
    this.worker.onerror = (event) => {
      for (const { reject } of this.asked.values()) reject(new Error(event.message || "the worker that samples can't be started"));
      this.asked.clear();
    };
  }

  ask(kind, given = {}, observe = () => {}) {
    const id = this.count++;
    return new Promise((resolve, reject) => {
      this.asked.set(id, { resolve, reject, observe });
      this.worker.postMessage({ id, kind, ...given });
    });
  }

  stop() {
    this.worker.postMessage({ kind: "stop" });
  }
}
