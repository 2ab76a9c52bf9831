// The page: turns a person's input into requests to the worker.
import { element, button, percent } from "./elements.js";
import { bytesOf, png, save, stem, zip } from "./files.js";
import { fetchBytes, fetchJson } from "./fetching.js";
import { Gallery } from "./gallery.js";
import { Inspector } from "./inspector.js";
import { fitted, loadedImage, show } from "./pixels.js";
import { SketchPad } from "./sketch.js";
import { Studio } from "./studio.js";

const EXAMPLES = ["red heart", "blue apple", "rocket", "fox", "pizza", "house with garden", "👍🏽", "purple umbrella"];
const VARIATION = 0.45; // rotation of a variation's noise
const NEEDED = ["WebAssembly", "DecompressionStream"];

const app = { studio: undefined, description: undefined, running: undefined, waiting: undefined };
const pad = new SketchPad();
const gallery = new Gallery({ chosen: choose, more: sampleMore, zip: saveZip });
const inspector = new Inspector({
  png: async (sample) => save(await pngOf(sample), `${nameOf(sample)}.png`),
  svg: async (sample) => save(new Blob([await shapes(sample)], { type: "image/svg+xml" }), `${nameOf(sample)}.svg`),
  vary: sampleVariations,
  start: startFrom,
  view: setView,
  thumbnail: paintThumbnail,
}, (sample, canvas) => gallery.paint(sample, canvas));

function say(words) {
  element("status").textContent = words;
}

function isOn(name) {
  return !element(`${name}-panel`).hidden;
}

function choose(sample, byKey) {
  app.chosen = sample;
  inspector.show(sample, gallery.view);
  if (byKey) inspector.focus();
}

// ---- sampling

function asked() {
  const words = element("prompt").value.trim(), style = element("style").value;
  const styled = (text) => (style && text ? `${text}, ${style} style` : text);
  const short = (text) => (text.length > 80 ? `${text.slice(0, 79)}…` : text);
  const [count, seed, steps, guidance] = ["count", "seed", "steps", "guidance"].map((id) => element(id).valueAsNumber);
  const other = isOn("blend") ? element("blend").value.trim() : "", from = isOn("image") && pad.image(app.description.size);
  return {
    prompt: styled(words), other: other && styled(other), count,
    titles: { own: styled(short(words)), blend: styled(`${short(words)} → ${short(other)}`), other: short(other) },
    options: { seed, steps, guidance, ...(from ? { from: { bytes: from.bytes, time: element("keep").valueAsNumber / 100 } } : {}) },
  };
}

function sampleAsked() {
  const { prompt, other, count, options, titles } = asked();
  const title = (other ? titles.blend : titles.own) + (options.from ? ", from an image" : "");
  const set = { title, prompt, seed: options.seed, options, samples: [], canHaveMore: !other };
  if (!other) return request(set, plain(set, 0, count));
  const all = Math.max(3, count);
  const shares = Array.from({ length: all }, (_, i) => i / (all - 1));
  return request(set, shares.map((share, i) => ({
    label: `${titles.own}, ${percent(share)} ${titles.other}`, caption: `${percent(share)} ${titles.other}`, prompt, file: i,
    options: { ...options, number: 0, blend: { prompt: other, share } },
  })));
}

function plain(set, first, count) {
  return Array.from({ length: count }, (_, i) => ({
    label: `${set.title}, image ${first + i + 1}`, prompt: set.prompt, file: first + i, options: { ...set.options, number: first + i },
  }));
}

function sampleMore(set) {
  const next = Math.max(-1, ...set.samples.map(({ file }) => file)) + 1;
  return set.more ? set.more(next) : request(set, plain(set, next, element("count").valueAsNumber));
}

function sampleVariations({ prompt, options, label, set: { title } }) {
  const set = { title: `Variations of ${title}`, prompt, seed: options.seed, options, samples: [], canHaveMore: true };
  const from = (first) => Array.from({ length: element("count").valueAsNumber }, (_, i) => ({
    label: `Variation ${first + i + 1} of ${label}`, caption: `Variation ${first + i + 1}`, prompt, file: first + i,
    options: { ...options, vary: { amount: VARIATION, number: first + i + 1 } },
  }));
  set.more = (next) => request(set, from(next));
  return request(set, from(0));
}

// One request at a time; a new one cancels the previous one.
function request(set, samples) {
  app.waiting = { set, samples };
  app.studio.stop();
  app.running ??= sampleWaiting().finally(() => { app.running = undefined; });
  return app.running;
}

async function sampleWaiting() {
  while (app.waiting) {
    const { set, samples } = app.waiting;
    app.waiting = undefined;
    const prompts = new Set(samples.flatMap(({ prompt, options: { blend } }) => (blend ? [prompt, blend.prompt] : [prompt])));
    const read = await app.studio.ask("read", { prompts: [...prompts] }).catch(({ message }) => ({ refusal: message }));
    if (read.refusal) say(read.refusal);
    if (read.refusal || app.waiting) continue;
    element("stop").hidden = false;
    element("generate").hidden = true;
    document.body.classList.add("sampling");
    set.notes = read.notes;
    if (!gallery.sets.includes(set)) gallery.addSet(set);
    const began = performance.now();
    for (const sample of samples) gallery.addSample(set, sample);
    try {
      for (const [i, sample] of samples.entries()) {
        say(`Generating image ${i + 1} of ${samples.length}`);
        await sampleOne(sample, (share) => { element("progress").value = (i + share) / samples.length; });
      }
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      say(`${samples.length === 1 ? "1 image" : `${samples.length} images`} in ${seconds} s`);
      set.told.textContent = `seed ${set.seed}`;
    } catch (error) {
      for (const sample of samples.filter((each) => !each.image)) gallery.remove(sample);
      say(error.message === "stopped" ? "Stopped" : `Something went wrong: ${error.message}`);
    }
    document.body.classList.remove("sampling");
    element("stop").hidden = true;
    element("generate").hidden = false;
    for (const sample of gallery.sets.flatMap((each) => each.samples)) { // earlier ones too, if this request interrupted their tracing
      if (app.waiting) break;
      if (sample.image) await shapes(sample);
    }
  }
}

async function sampleOne(sample, told) {
  sample.frames = [];
  const { prompt, options } = sample;
  const { bytes, size, evaluations, nearest } = await app.studio.ask("sample", { prompt, options }, (frame) => {
    sample.frames.push({ bytes: frame.bytes, size: frame.size });
    show(sample.canvas, frame);
    told(frame.share);
  });
  Object.assign(sample, { image: { bytes, size }, evaluations, nearest });
  // The finished image ends the animation too, if it has the size of the others.
  if (size === sample.frames[0].size) sample.frames.push(sample.image);
  gallery.ready(sample);
  if (!inspector.sample || inspector.sample.set !== sample.set) gallery.choose(sample);
}

// The image as SVG, traced once.
function shapes(sample) {
  sample.tracing ??= app.studio.ask("trace", { image: sample.image }).then(async (svg) => {
    sample.svg = svg;
    await gallery.paint(sample);
    if (inspector.sample === sample && !inspector.playing) await gallery.paint(sample, inspector.canvas);
    return svg;
  });
  return sample.tracing;
}

// ---- actions

function nameOf({ prompt, options, file }) {
  return `${stem(prompt)}-${options.seed}-${options.vary ? `${options.number}-variation-` : ""}${options.blend ? "blend-" : ""}${file}`;
}

async function pngOf(sample) {
  return png(sample.image, gallery.view === "shapes" ? await shapes(sample) : undefined);
}

async function saveZip(set) {
  const files = {};
  for (const sample of set.samples.filter((each) => each.image)) {
    files[`${nameOf(sample)}.png`] = await bytesOf(await pngOf(sample));
    files[`${nameOf(sample)}.svg`] = new TextEncoder().encode(await shapes(sample));
  }
  save(zip(files), `${stem(set.title)}-${set.seed}.zip`);
}

async function setView(view) {
  await gallery.setView(view);
  if (inspector.sample) await gallery.paint(inspector.sample, inspector.canvas);
}

async function startFrom(sample) {
  const canvas = document.createElement("canvas");
  show(canvas, sample.image);
  open("image", true);
  pad.put(canvas, canvas.width, canvas.height);
  element("prompt").focus();
  say("New samples start from this image");
}

async function startFromFile(file) {
  try {
    open("image", true);
    await pad.putFile(file);
    say(`New samples start from ${file.name}`);
  } catch (error) {
    say(error.message);
  }
}

async function thumbnails(training) {
  return loadedImage(new Blob([await fetchBytes(new URL("thumbnails.webp", training))], { type: "image/webp" }));
}

function paintThumbnail(number, canvas) {
  const { image, tile, columns } = app.training, context = canvas.getContext("2d");
  canvas.width = canvas.height = tile;
  context.drawImage(image, (number % columns) * tile, Math.floor(number / columns) * tile, tile, tile, 0, 0, tile, tile);
}

// ---- the controls

function open(name, isOpen) {
  element(`${name}-panel`).hidden = !isOpen;
  document.querySelector(`[aria-controls=${name}-panel]`).setAttribute("aria-expanded", String(isOpen));
}

function wire() {
  for (const toggle of document.querySelectorAll("[aria-controls]")) {
    const name = toggle.getAttribute("aria-controls").replace("-panel", "");
    toggle.addEventListener("click", () => open(name, !isOn(name)));
  }
  element("form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (app.description) sampleAsked();
    else app.early = true; // samples as soon as the model is loaded
  });
  element("form").addEventListener("invalid", ({ target }) => {
    if (target.closest("#settings-panel")) open("settings", true); // so that the error is visible
  }, true);
  element("stop").addEventListener("click", () => app.studio.stop());
  element("dice").addEventListener("click", () => { element("seed").value = Math.floor(Math.random() * 1e6); });
  element("keep").addEventListener("input", () => { element("keep-value").textContent = `${element("keep").value}%`; });
  element("file").addEventListener("change", ({ target }) => { if (target.files[0]) startFromFile(target.files[0]); });
  element("ground").addEventListener("change", ({ target }) => { document.body.dataset.ground = target.value; });
  element("theme").addEventListener("click", () => {
    const isDark = getComputedStyle(document.documentElement).colorScheme === "dark"
      || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = isDark ? "light" : "dark";
  });
  document.addEventListener("keydown", (event) => {
    const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "");
    if (event.key === "Escape") app.studio?.stop();
    if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    element("prompt").select();
  });
  document.addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    element("drop").hidden = false;
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) element("drop").hidden = true; });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    element("drop").hidden = true;
    if (event.dataTransfer.files[0]) startFromFile(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", ({ clipboardData }) => { if (clipboardData.files[0]) startFromFile(clipboardData.files[0]); });
  for (const words of EXAMPLES) {
    const item = document.createElement("li");
    item.append(button(words, () => {
      element("prompt").value = words;
      element("form").requestSubmit();
    }, { className: "chip" }));
    element("examples").append(item);
  }
}

// ---- the model

async function load(model) {
  const base = new URL(model.path, import.meta.url), training = model.training && new URL(model.training, import.meta.url);
  app.description = undefined;
  say(model.hint ?? "Loading the model");
  const told = (share) => {
    say("Loading the model");
    element("progress").value = share;
  };
  const { description, icons } = await app.studio.ask("load", { base: base.href, training: training?.href }, told);
  const { sampling, styles, size, parameters, terms } = description;
  app.training = icons && { ...icons, image: icons.hasThumbnails && await thumbnails(training) };
  element("style").replaceChildren(new Option("any style", ""), ...styles.map((style) => new Option(style, style)));
  element("style").parentElement.hidden = !styles.length;
  element("steps").value = sampling.steps;
  element("guidance").value = sampling.guidance;
  const sources = terms.map((each) => `${each.source} (${each.license})`).join(", ");
  element("about").textContent = `${size} × ${size} pixels, ${(parameters / 1e6).toFixed(1)} million parameters` +
    `${sources ? `, trained on ${sources}` : ""}. Everything happens in this browser; nothing is sent anywhere.`;
  app.description = description;
  element("progress").value = 0;
  say("Ready");
  if (app.early) sampleAsked();
  app.early = false;
}

function refuse(words) {
  element("refusal").textContent = words;
  element("refusal").hidden = false;
  element("generate").disabled = true;
  say(words);
}

async function start() {
  wire();
  const missing = NEEDED.find((name) => !(name in globalThis));
  if (missing) return refuse(`This browser has no ${missing}, which this page needs. A current Firefox, Chrome, Edge or Safari has it.`);
  app.studio = new Studio();
  const attempt = async (model) => {
    element("refusal").hidden = true;
    element("generate").disabled = false;
    try {
      await load(model);
    } catch (error) {
      refuse(`The model can't be loaded: ${error.message}`);
    }
  };
  let models;
  try {
    ({ models } = await fetchJson(new URL("page.json", import.meta.url)));
  } catch (error) {
    return refuse(error.message);
  }
  if (models.length > 1) {
    element("model-field").hidden = false;
    element("model").append(...models.map(({ name }, i) => new Option(name, i)));
    element("model").addEventListener("change", ({ target }) => attempt(models[target.value]));
  }
  await attempt(models[0]);
  globalThis.flowmodel = app; // for debugging and tests
}

start();
