// A model that samples in the browser: the same steps as flowmodel/runtime/onnx_generator.py, which is the reference.
import * as ort from "./vendor/ort.wasm.bundle.min.mjs";
import { Reader, Tokenizer } from "./captions.js";
import { fetchBytes, fetchDescription, fetchListed, unpacked, unpackedGraph } from "./fetching.js";
import { mixedSeed, standardNormal } from "./noise.js";

ort.env.wasm.numThreads = 1; // more threads need special headers of the server

// Of each graph, the first one in the export.
const GRAPHS = {
  tower: ["tower.packed.zlib", "tower.int8.onnx", "tower.onnx"],
  network: ["network.packed.zlib", "network.onnx"],
  finisher: ["finisher.packed.zlib", "finisher.onnx"],
};
const TABLES = ["tokenizer.json", "emoji.json", "english.zlib"];

function times(steps, shift, start) {
  const grid = Array.from({ length: steps + 1 }, (_, i) => i / steps).map((t) => t / (shift - (shift - 1) * t));
  return [start, ...grid.filter((t) => t > start)];
}

function toBytes(x, channels) {
  const pixels = x.length / channels, bytes = new Uint8Array(4 * pixels);
  const at = (i) => Math.min(255, Math.max(0, Math.round((x[i] + 1) * 127.5)));
  for (let i = 0; i < pixels; i++) {
    const alpha = channels === 4 ? at(3 * pixels + i) : 255;
    for (let c = 0; c < 3; c++) bytes[c * pixels + i] = Math.min(at((channels === 1 ? 0 : c) * pixels + i), alpha);
    bytes[3 * pixels + i] = alpha;
  }
  return bytes;
}

// An image as the network's input, on white if the network has no alpha.
function toUnit(bytes, channels) {
  const pixels = bytes.length / 4, x = new Float32Array(channels * pixels);
  for (let i = 0; i < pixels; i++) {
    const white = channels === 4 ? 0 : 255 - bytes[3 * pixels + i], at = (c) => bytes[c * pixels + i] + (c < 3 ? white : 0);
    if (channels === 1) x[i] = (0.2126 * at(0) + 0.7152 * at(1) + 0.0722 * at(2)) / 127.5 - 1;
    else for (let c = 0; c < channels; c++) x[c * pixels + i] = at(c) / 127.5 - 1;
  }
  return x;
}

function mixed(one, other, share) {
  const found = new Float32Array(one.length);
  for (let i = 0; i < found.length; i++) found[i] = (1 - share) * one[i] + share * other[i];
  return found;
}

export class Generator {
  // `base` is the folder of an exported model; `told` is called with the loaded fraction.
  static async load(base, told = () => {}) {
    const self = new Generator(), of = self.description = await fetchDescription(new URL("model.json", base));
    const graphs = Object.values(GRAPHS).map((names) => names.find((name) => of.files[name]));
    const names = [...TABLES, ...graphs].filter((name) => of.files[name]);
    const all = names.reduce((sum, name) => sum + of.files[name].bytes, 0), files = {};
    let loaded = 0;
    ort.env.wasm.wasmBinary ??= await unpacked(await fetchBytes(new URL("./vendor/ort-wasm-simd-threaded.wasm.zlib", import.meta.url)));
    for (const name of names) {
      const bytes = await fetchListed(base, name, of.files);
      const unpack = name.endsWith(".packed.zlib") ? unpackedGraph : name.endsWith(".zlib") ? unpacked : (same) => same;
      files[name] = await unpack(bytes);
      told((loaded += of.files[name].bytes) / all);
    }
    const json = (name) => JSON.parse(new TextDecoder().decode(files[name]));
    self.reader = new Reader({
      tokenizer: new Tokenizer(json("tokenizer.json"), of.max_tokens), names: json("emoji.json"),
      table: files["english.zlib"] && json("english.zlib"), languages: of.languages,
    });
    const session = (name) => files[name] && ort.InferenceSession.create(new Uint8Array(files[name]));
    [self.tower, self.network, self.finisher] = [await session(graphs[0]), await session(graphs[1]), await session(graphs[2])];
    return self;
  }

  async release() {
    for (const session of [this.network, this.tower, this.finisher]) await session?.release();
  }

  tokens(prompt) {
    return this.reader.tokenizer.encode(this.reader.text(prompt));
  }

  // A caption as the network's input: `pooled` (width) and `tokens` (length, width).
  async encode(prompt) {
    const ids = this.tokens(prompt);
    const { pooled, tokens } = await this.tower.run({ ids: new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]) });
    return { pooled: pooled.data, tokens: tokens.data, length: tokens.dims[1], width: tokens.dims[2] };
  }

  // The noise of image `number`. `vary` = {amount, number} rotates it toward other noise: 0 is the same noise, 1 the other noise.
  noise(seed, number, vary) {
    const { size, channels } = this.description, count = 4 * size * size;
    let noise = standardNormal(mixedSeed(seed, number), count);
    if (vary) {
      const other = standardNormal(mixedSeed(seed, number, vary.number), count), kept = Math.sqrt(1 - vary.amount ** 2);
      noise = noise.map((value, i) => kept * value + vary.amount * other[i]);
    }
    return noise.slice(0, channels * size * size);
  }

  // Image `number` of `seed`: premultiplied RGBA, Uint8Array (4, size, size), its size, and the network evaluations it took.
  //   blend: {prompt, share}, a second prompt and its weight
  //   vary: see `noise`
  //   from: {bytes, time}, an image of the network's size and the starting time: near 0 little of it is kept, near 1 most
  // `observe` is called with the current image and the finished fraction.
  async sample(prompt, { seed = 0, number = 0, steps, guidance, blend, vary, from } = {}, observe = async () => {}) {
    const { size, channels, sampling, finished_size: finishedSize } = this.description, shape = [channels, size, size];
    const captions = [{ ...(await this.encode(prompt)), share: 1 - (blend?.share ?? 0) }];
    if (blend?.share > 0) captions.push({ ...(await this.encode(blend.prompt)), share: blend.share });
    const told = captions.filter(({ share }) => share > 0), scale = guidance ?? sampling.guidance;
    let evaluations = 0;
    // With guidance, a batch has as many rows without captions.
    const evaluate = async (x, t, isGuided) => {
      const batch = told.length + (isGuided ? 1 : 0), width = told[0].width, length = Math.max(...told.map((each) => each.length));
      const xs = new Float32Array(batch * x.length), mask = new Uint8Array(batch * length);
      const pooled = new Float32Array(batch * width), tokens = new Float32Array(batch * length * width);
      for (let row = 0; row < batch; row++) {
        xs.set(x, row * x.length);
        if (row === told.length) continue;
        pooled.set(told[row].pooled, row * width);
        tokens.set(told[row].tokens, row * length * width);
        mask.fill(1, row * length, row * length + told[row].length);
      }
      const { velocity } = await this.network.run({
        x: new ort.Tensor("float32", xs, [batch, ...shape]),
        t: new ort.Tensor("float32", new Float32Array(batch).fill(t), [batch]),
        pooled: new ort.Tensor("float32", pooled, [batch, width]),
        tokens: new ort.Tensor("float32", tokens, [batch, length, width]),
        mask: new ort.Tensor("bool", mask, [batch, length]),
      });
      evaluations += batch;
      return Array.from({ length: batch }, (_, row) => velocity.data.subarray(row * x.length, (row + 1) * x.length));
    };
    const velocity = async (x, t) => {
      const [start, end] = sampling.guidance_interval, isGuided = scale !== 1 && t >= start && t <= end;
      const rows = await evaluate(x, t, isGuided);
      const together = told.length === 1 ? rows[0] : mixed(rows[0], rows[1], told[1].share);
      return isGuided ? together.map((value, i) => rows.at(-1)[i] + scale * (value - rows.at(-1)[i])) : together;
    };
    const moved = (x, h, v) => x.map((value, i) => value + h * v[i]);
    let x = this.noise(seed, number, vary);
    if (from) x = mixed(x, toUnit(from.bytes, channels), from.time);
    const grid = times(steps ?? sampling.steps, sampling.time_shift, from?.time ?? 0);
    await observe({ bytes: toBytes(x, channels), size }, 0);
    for (let i = 0; i + 1 < grid.length; i++) {
      const t = grid[i], h = grid[i + 1] - t, v = await velocity(x, t);
      if (sampling.solver === "midpoint") {
        x = moved(x, h, await velocity(moved(x, h / 2, v), t + h / 2));
      } else if (sampling.solver === "heun" && grid[i + 1] !== 1) {
        const next = await velocity(moved(x, h, v), t + h);
        x = x.map((value, j) => value + (h / 2) * (v[j] + next[j]));
      } else {
        x = moved(x, h, v);
      }
      await observe({ bytes: toBytes(x, channels), size }, (i + 1) / (grid.length - 1));
    }
    const image = { bytes: toBytes(x, channels), size, evaluations };
    if (!this.finisher) return image;
    const { finished } = await this.finisher.run({
      drawn: new ort.Tensor("float32", Float32Array.from(image.bytes, (byte) => byte / 127.5 - 1), [1, 4, size, size]),
    });
    return { bytes: toBytes(finished.data, channels), size: finishedSize, evaluations };
  }
}
