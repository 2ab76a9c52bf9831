// Samples in a worker, so that the page never blocks. One request at a time: {id, kind, ...} is answered with {id, result},
// or {id, error}, and meanwhile with any number of {id, told}.
import { Generator } from "./generator.js";
import { NearestIcons } from "./nearest.js";
import { loadTracer, trace } from "./trace.js";

let generator, icons, stopped = false, last = Promise.resolve();

// Lets messages arrive between two steps.
const channel = new MessageChannel();
const breath = () => new Promise((resolve) => {
  channel.port1.onmessage = resolve;
  channel.port2.postMessage(null);
});

const kinds = {
  async load({ base, training }, tell) {
    await generator?.release();
    generator = icons = undefined;
    generator = await Generator.load(base, tell);
    if (training) icons = await NearestIcons.load(training);
    await loadTracer(); // with the rest, because the server may be gone later
    const shown = icons && { tile: icons.tile, columns: icons.columns, hasThumbnails: icons.thumbnails.some((number) => number >= 0) };
    return { description: generator.description, icons: shown };
  },
  async sample({ prompt, options }, tell) {
    stopped = false;
    const image = await generator.sample(prompt, options, async (estimate, share) => {
      tell({ ...estimate, share });
      await breath();
      if (stopped) throw new Error("stopped");
    });
    return { ...image, nearest: icons?.find(image) };
  },
  trace: ({ image }) => trace(image),
  read: ({ prompts }) => generator.reader.read(prompts),
  tokens: ({ prompt }) => generator.tokens(prompt),
  find: ({ image }) => icons?.find(image),
};

self.onmessage = ({ data: { id, kind, ...given } }) => {
  if (kind === "stop") {
    stopped = true;
    return;
  }
  last = last.then(async () => {
    try {
      self.postMessage({ id, result: await kinds[kind](given, (told) => self.postMessage({ id, told })) });
    } catch (error) {
      self.postMessage({ id, error: error.message });
    }
  });
};
