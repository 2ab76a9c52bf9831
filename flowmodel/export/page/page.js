// Draws icons in the browser. The same steps as flowmodel/runtime, which is the reference: noise, captions, solver, finisher.
import * as ort from "./ort.wasm.bundle.min.mjs";

ort.env.wasm.numThreads = 1; // more need special headers of the server
ort.env.wasm.wasmPaths = { wasm: new URL("./ort-wasm-simd-threaded.wasm", import.meta.url).href };

// ---- noise: numpy's SeedSequence, then PyTorch's CPU generator (flowmodel/runtime/noise.py)

function seedWords(number) {
  return number < 2 ** 32 ? [number] : [number % 2 ** 32, Math.floor(number / 2 ** 32)];
}

// The lower 32 bits of flowmodel.flow.seeds.mixed_seed(...parts).
export function mixedSeed(...parts) {
  const entropy = parts.flatMap(seedWords), pool = [0, 0, 0, 0];
  let constant = 0x43b0d7e5;
  const hash = (value) => {
    value ^= constant;
    constant = Math.imul(constant, 0x931e8875);
    value = Math.imul(value, constant);
    return value ^ (value >>> 16);
  };
  const mix = (x, y) => {
    const value = (Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y)) | 0;
    return value ^ (value >>> 16);
  };
  for (let i = 0; i < 4; i++) pool[i] = hash(i < entropy.length ? entropy[i] | 0 : 0);
  for (let from = 0; from < 4; from++) for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
  for (const word of entropy.slice(4)) for (let to = 0; to < 4; to++) pool[to] = mix(pool[to], hash(word | 0));
  constant = 0x8b51f9dd;
  const [low, high] = [pool[0], pool[1]].map((value) => {
    value ^= constant;
    constant = Math.imul(constant, 0x58f38ded);
    value = Math.imul(value, constant);
    return value ^ (value >>> 16);
  });
  return ((low >>> 1) | (high << 31)) >>> 0;
}

function* mersenneTwister(seed) {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let i = 1; i < 624; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  for (;;) {
    for (let i = 0; i < 624; i++) {
      const y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
      state[i] = state[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    for (let i = 0; i < 624; i++) {
      let y = state[i];
      y ^= y >>> 11;
      y ^= (y << 7) & 0x9d2c5680;
      y ^= (y << 15) & 0xefc60000;
      yield (y ^ (y >>> 18)) >>> 0;
    }
  }
}

// `count` numbers, a multiple of 16.
export function standardNormal(seed, count) {
  const words = mersenneTwister(seed), uniform = new Float32Array(count), found = new Float32Array(count);
  for (let i = 0; i < count; i++) uniform[i] = (words.next().value & 0xffffff) * 2 ** -24;
  for (let start = 0; start < count; start += 16) {
    for (let i = start; i < start + 8; i++) {
      const radius = Math.sqrt(-2 * Math.log(1 - uniform[i])), angle = 2 * Math.PI * uniform[i + 8];
      found[i] = radius * Math.cos(angle);
      found[i + 8] = radius * Math.sin(angle);
    }
  }
  return found;
}

// ---- captions: BERT's tokenizer (https://huggingface.co/docs/tokenizers), and names in place of emoji

export class EmojiReplacer {
  constructor(names) {
    this.names = new Map(Object.entries(names));
    this.longest = new Map();
    for (const written of this.names.keys()) {
      const signs = Array.from(written);
      this.longest.set(signs[0], Math.max(this.longest.get(signs[0]) ?? 0, signs.length));
    }
  }

  replace(text) {
    const signs = Array.from(text), parts = [];
    let plain = 0, at = 0, found = false;
    while (at < signs.length) {
      let length = Math.min(this.longest.get(signs[at]) ?? 0, signs.length - at);
      while (length > 0 && !this.names.has(signs.slice(at, at + length).join(""))) length--;
      if (length === 0) { at++; continue; }
      parts.push(signs.slice(plain, at).join(""), this.names.get(signs.slice(at, at + length).join("")));
      at += length;
      while (signs[at] === "\ufe0f") at++;
      plain = at;
      found = true;
    }
    return found ? [...parts, signs.slice(plain).join("")].join(" ").split(/\s+/u).filter(Boolean).join(" ") : text;
  }
}

const IDEOGRAPHS = /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

export class Tokenizer {
  constructor(description, maxTokens) {
    this.vocabulary = new Map(Object.entries(description.model.vocab));
    this.maxTokens = maxTokens;
  }

  encode(text) {
    const plain = Array.from(text.replace(/[\t\n\r]/g, " ").replace(/[\0\ufffd\p{C}]/gu, "").replace(/\s/gu, " "))
      .join("").replace(IDEOGRAPHS, " $& ").normalize("NFD").replace(/\p{Mn}/gu, "");
    const lower = Array.from(plain, (sign) => sign.toLowerCase()).join("");
    const words = lower.replace(/[!-/:-@[-`{-~\p{P}]/gu, " $& ").split(/\s+/u).filter(Boolean);
    const ids = words.flatMap((word) => this.pieces(Array.from(word)));
    const id = (token) => this.vocabulary.get(token);
    return [id("[CLS]"), ...ids.slice(0, this.maxTokens - 2), id("[SEP]")];
  }

  pieces(signs) {
    const unknown = [this.vocabulary.get("[UNK]")], ids = [];
    if (signs.length > 100) return unknown;
    for (let start = 0, end; start < signs.length; start = end) {
      const found = (stop) => this.vocabulary.get((start > 0 ? "##" : "") + signs.slice(start, stop).join(""));
      for (end = signs.length; end > start && found(end) === undefined;) end--;
      if (end === start) return unknown;
      ids.push(found(end));
    }
    return ids;
  }
}

// ---- the model

async function fetchFile(name, listed, told) {
  const answer = await fetch(new URL(`./model/${name}`, import.meta.url));
  if (!answer.ok) throw new Error(`model/${name} can't be loaded (${answer.status})`);
  const bytes = await answer.arrayBuffer();
  told(bytes.byteLength);
  if (bytes.byteLength !== listed.bytes) throw new Error(`model/${name} was changed or cut; export the model again`);
  if (crypto.subtle) { // where there is a secure connection, and on this machine itself
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (found !== listed.sha256) throw new Error(`model/${name} was changed or cut; export the model again`);
  }
  return bytes;
}

function times(steps, shift) {
  return Array.from({ length: steps + 1 }, (_, i) => i / steps).map((t) => t / (shift - (shift - 1) * t));
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

export class Generator {
  static async load(told = () => {}) {
    const answer = await fetch(new URL("./model/model.json", import.meta.url));
    if (!answer.ok) throw new Error(`model/model.json can't be loaded (${answer.status})`);
    const self = new Generator(), of = self.description = await answer.json();
    const names = Object.keys(of.files).filter((name) => /\.(onnx|json)$/.test(name));
    const all = names.reduce((sum, name) => sum + of.files[name].bytes, 0);
    const files = {};
    let loaded = 0;
    for (const name of names) files[name] = await fetchFile(name, of.files[name], (bytes) => told((loaded += bytes) / all));
    const json = (name) => JSON.parse(new TextDecoder().decode(files[name]));
    self.tokenizer = new Tokenizer(json("tokenizer.json"), of.max_tokens);
    self.emoji = new EmojiReplacer(json("emoji.json"));
    const session = (name) => files[name] && ort.InferenceSession.create(new Uint8Array(files[name]));
    self.network = await session("network.onnx");
    self.tower = await session("tower.int8.onnx");
    self.finisher = await session("finisher.onnx");
    return self;
  }

  async encode(prompt) {
    const ids = this.tokenizer.encode(this.emoji.replace(prompt));
    return this.tower.run({ ids: new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]) });
  }

  // Picture `number` of `seed`: premultiplied RGBA, Uint8Array (4, size, size), and its size. `observe` is given the picture so far.
  async draw(prompt, { seed = 0, number = 0, steps, guidance } = {}, observe = async () => {}) {
    const { size, channels, sampling, finished_size: finishedSize } = this.description;
    const { pooled, tokens } = await this.encode(prompt), shape = [channels, size, size];
    const length = tokens.dims[1], width = tokens.dims[2], scale = guidance ?? sampling.guidance;
    let evaluations = 0;
    const evaluate = async (x, t, isGuided) => {
      const batch = isGuided ? 2 : 1;
      const twice = (data, second) => (isGuided ? Float32Array.from([...data, ...second]) : data);
      const mask = new Uint8Array(batch * length);
      mask.fill(1, 0, length);
      const { velocity } = await this.network.run({
        x: new ort.Tensor("float32", twice(x, x), [batch, ...shape]),
        t: new ort.Tensor("float32", new Float32Array(batch).fill(t), [batch]),
        pooled: new ort.Tensor("float32", twice(pooled.data, new Float32Array(width)), [batch, width]),
        tokens: new ort.Tensor("float32", twice(tokens.data, tokens.data), [batch, length, width]),
        mask: new ort.Tensor("bool", mask, [batch, length]),
      });
      evaluations += batch;
      return velocity.data;
    };
    const velocity = async (x, t) => {
      const [start, end] = sampling.guidance_interval;
      if (scale === 1 || t < start || t > end) return evaluate(x, t, false);
      const both = await evaluate(x, t, true), half = x.length;
      return x.map((_, i) => both[half + i] + scale * (both[i] - both[half + i]));
    };
    const moved = (x, h, v) => x.map((value, i) => value + h * v[i]);
    const grid = times(steps ?? sampling.steps, sampling.time_shift);
    let x = standardNormal(mixedSeed(seed, number), 4 * size * size).slice(0, channels * size * size);
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
    const drawn = { bytes: toBytes(x, channels), size, evaluations };
    if (!this.finisher) return drawn;
    const { finished } = await this.finisher.run({
      drawn: new ort.Tensor("float32", Float32Array.from(drawn.bytes, (byte) => byte / 127.5 - 1), [1, ...shape]),
    });
    return { bytes: toBytes(finished.data, channels), size: finishedSize, evaluations };
  }
}

// ---- the page

const element = (id) => document.getElementById(id);

function show(canvas, { bytes, size }) {
  canvas.width = canvas.height = size;
  const image = new ImageData(size, size), pixels = size * size;
  for (let i = 0; i < pixels; i++) {
    const alpha = image.data[4 * i + 3] = bytes[3 * pixels + i];
    for (let c = 0; c < 3; c++) {
      image.data[4 * i + c] = alpha && Math.min(255, Math.floor((bytes[c * pixels + i] * 255 + (alpha >> 1)) / alpha));
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// A PNG of 512 pixels an edge.
export async function png(canvas) {
  const large = document.createElement("canvas");
  large.width = large.height = 512;
  const context = large.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(canvas, 0, 0, 512, 512);
  return new Promise((resolve) => large.toBlob(resolve, "image/png"));
}

async function download(canvas, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await png(canvas));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function addIcon(prompt, seed, number) {
  const item = document.createElement("li"), canvas = document.createElement("canvas"), button = document.createElement("button");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${prompt}, picture ${number + 1}`);
  button.textContent = "Download PNG";
  button.setAttribute("aria-label", `Download picture ${number + 1} as PNG`);
  button.disabled = true;
  const stem = prompt.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60) || "picture";
  button.addEventListener("click", () => download(canvas, `${stem}-${seed}-${number}.png`));
  item.append(canvas, button);
  element("icons").append(item);
  return { canvas, button };
}

async function drawAsked(generator) {
  const words = element("prompt").value.trim(), style = element("style").value;
  if (!words) return;
  const prompt = style ? `${words}, ${style} style` : words;
  const [count, seed, steps, guidance] = ["count", "seed", "steps", "guidance"].map((id) => element(id).valueAsNumber);
  element("icons").replaceChildren();
  const began = performance.now();
  for (let number = 0; number < count; number++) {
    element("status").textContent = `Drawing picture ${number + 1} of ${count}`;
    const { canvas, button } = addIcon(prompt, seed, number);
    const observe = async (picture, share) => {
      show(canvas, picture);
      element("progress").value = (number + share) / count;
      await new Promise((resolve) => setTimeout(resolve)); // lets the browser paint
    };
    show(canvas, await generator.draw(prompt, { seed, number, steps, guidance }, observe));
    button.disabled = false;
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  element("status").textContent = `${count === 1 ? "1 picture" : `${count} pictures`} in ${seconds} s`;
}

async function start() {
  const status = element("status");
  if (typeof WebAssembly !== "object") {
    status.textContent = "This browser has no WebAssembly, which this page draws with. A current Firefox, Chrome or Safari has it.";
    return;
  }
  try {
    const generator = await Generator.load((share) => { element("progress").value = share; });
    const { sampling, styles, size, parameters, terms } = generator.description;
    for (const style of styles) element("style").add(new Option(style, style));
    element("steps").value = sampling.steps;
    element("guidance").value = sampling.guidance;
    const sources = terms.map((each) => `${each.source} (${each.license})`).join(", ");
    element("about").textContent = `${size} x ${size} pixels, ${(parameters / 1e6).toFixed(1)} million parameters. ` +
      `Everything happens in this browser; nothing is sent anywhere.${sources ? ` Trained on ${sources}.` : ""}`;
    element("form").addEventListener("submit", async (event) => {
      event.preventDefault();
      element("draw").disabled = true;
      try {
        await drawAsked(generator);
      } catch (error) {
        status.textContent = `That went wrong: ${error.message}`;
      }
      element("draw").disabled = false;
    });
    element("draw").disabled = false;
    status.textContent = "Ready";
    globalThis.flowmodel = { generator, Tokenizer, mixedSeed, standardNormal, png };
  } catch (error) {
    status.textContent = `The model can't be loaded: ${error.message}`;
  }
}

start();
