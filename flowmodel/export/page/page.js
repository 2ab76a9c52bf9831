// The page: turns a person's input into requests to the worker.
import { element, button, percent } from "./elements.js";
import { bytesOf, png, save, stem, zip } from "./files.js";
import { fetchJson } from "./fetching.js";
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
const gallery = new Gallery({ chosen: choose, more: drawMore, zip: saveZip });
const inspector = new Inspector({
  png: async (picture) => save(await pngOf(picture), `${nameOf(picture)}.png`),
  svg: async (picture) => save(new Blob([await shapes(picture)], { type: "image/svg+xml" }), `${nameOf(picture)}.svg`),
  vary: drawVariations,
  start: startFrom,
  view: setView,
  thumbnail: paintThumbnail,
}, (picture, canvas) => gallery.paint(picture, canvas));

function say(words) {
  element("status").textContent = words;
}

function isOn(name) {
  return !element(`${name}-panel`).hidden;
}

function choose(picture, byKey) {
  app.chosen = picture;
  inspector.show(picture, gallery.view);
  if (byKey) inspector.focus();
}

// ---- sampling

function asked() {
  const words = element("prompt").value.trim(), style = element("style").value;
  const styled = (text) => (style && text ? `${text}, ${style} style` : text);
  const short = (text) => (text.length > 80 ? `${text.slice(0, 79)}…` : text);
  const [count, seed, steps, guidance] = ["count", "seed", "steps", "guidance"].map((id) => element(id).valueAsNumber);
  const other = isOn("blend") ? element("blend").value.trim() : "", from = isOn("picture") && pad.picture(app.description.size);
  return {
    prompt: styled(words), other: other && styled(other), count,
    titles: { own: styled(short(words)), blend: styled(`${short(words)} → ${short(other)}`), other: short(other) },
    options: { seed, steps, guidance, ...(from ? { from: { bytes: from.bytes, time: element("keep").valueAsNumber / 100 } } : {}) },
  };
}

function drawAsked() {
  const { prompt, other, count, options, titles } = asked();
  const title = (other ? titles.blend : titles.own) + (options.from ? ", from an image" : "");
  const set = { title, prompt, seed: options.seed, options, pictures: [], canHaveMore: !other };
  if (!other) return draw(set, plain(set, 0, count));
  const all = Math.max(3, count);
  const shares = Array.from({ length: all }, (_, i) => i / (all - 1));
  return draw(set, shares.map((share, i) => ({
    label: `${titles.own}, ${percent(share)} ${titles.other}`, caption: `${percent(share)} ${titles.other}`, prompt, file: i,
    options: { ...options, number: 0, blend: { prompt: other, share } },
  })));
}

function plain(set, first, count) {
  return Array.from({ length: count }, (_, i) => ({
    label: `${set.title}, image ${first + i + 1}`, prompt: set.prompt, file: first + i, options: { ...set.options, number: first + i },
  }));
}

function drawMore(set) {
  const next = Math.max(-1, ...set.pictures.map(({ file }) => file)) + 1;
  return set.more ? set.more(next) : draw(set, plain(set, next, element("count").valueAsNumber));
}

function drawVariations({ prompt, options, label, set: { title } }) {
  const set = { title: `Variations of ${title}`, prompt, seed: options.seed, options, pictures: [], canHaveMore: true };
  const from = (first) => Array.from({ length: element("count").valueAsNumber }, (_, i) => ({
    label: `Variation ${first + i + 1} of ${label}`, caption: `Variation ${first + i + 1}`, prompt, file: first + i,
    options: { ...options, vary: { amount: VARIATION, number: first + i + 1 } },
  }));
  set.more = (next) => draw(set, from(next));
  return draw(set, from(0));
}

// One request at a time; a new one cancels the previous one.
function draw(set, pictures) {
  app.waiting = { set, pictures };
  app.studio.stop();
  app.running ??= drawWaiting().finally(() => { app.running = undefined; });
  return app.running;
}

async function drawWaiting() {
  while (app.waiting) {
    const { set, pictures } = app.waiting;
    app.waiting = undefined;
    const prompts = new Set(pictures.flatMap(({ prompt, options: { blend } }) => (blend ? [prompt, blend.prompt] : [prompt])));
    const read = await app.studio.ask("read", { prompts: [...prompts] }).catch(({ message }) => ({ refusal: message }));
    if (read.refusal) say(read.refusal);
    if (read.refusal || app.waiting) continue;
    element("stop").hidden = false;
    element("draw").hidden = true;
    document.body.classList.add("drawing");
    set.notes = read.notes;
    if (!gallery.sets.includes(set)) gallery.addSet(set);
    const began = performance.now();
    for (const picture of pictures) gallery.addPicture(set, picture);
    try {
      for (const [i, picture] of pictures.entries()) {
        say(`Drawing image ${i + 1} of ${pictures.length}`);
        await drawOne(picture, (share) => { element("progress").value = (i + share) / pictures.length; });
      }
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      say(`${pictures.length === 1 ? "1 image" : `${pictures.length} images`} in ${seconds} s`);
      set.told.textContent = `seed ${set.seed}`;
    } catch (error) {
      for (const picture of pictures.filter((each) => !each.picture)) gallery.remove(picture);
      say(error.message === "stopped" ? "Stopped" : `That went wrong: ${error.message}`);
    }
    document.body.classList.remove("drawing");
    element("stop").hidden = true;
    element("draw").hidden = false;
    for (const picture of pictures) {
      if (app.waiting) break;
      if (picture.picture) await shapes(picture);
    }
  }
}

async function drawOne(picture, told) {
  picture.frames = [];
  const { prompt, options } = picture;
  const { bytes, size, evaluations, nearest } = await app.studio.ask("draw", { prompt, options }, (frame) => {
    picture.frames.push({ bytes: frame.bytes, size: frame.size });
    show(picture.canvas, frame);
    told(frame.share);
  });
  Object.assign(picture, { picture: { bytes, size }, evaluations, nearest });
  // The finished image ends the animation too, if it has the size of the others.
  if (size === picture.frames[0].size) picture.frames.push(picture.picture);
  gallery.ready(picture);
  if (!inspector.picture || inspector.picture.set !== picture.set) gallery.choose(picture);
}

// The image as SVG, traced once.
function shapes(picture) {
  picture.tracing ??= app.studio.ask("trace", { picture: picture.picture }).then(async (svg) => {
    picture.svg = svg;
    await gallery.paint(picture);
    if (inspector.picture === picture && !inspector.playing) await gallery.paint(picture, inspector.canvas);
    return svg;
  });
  return picture.tracing;
}

// ---- actions

function nameOf({ prompt, options, file }) {
  return `${stem(prompt)}-${options.seed}-${options.vary ? `${options.number}-variation-` : ""}${options.blend ? "blend-" : ""}${file}`;
}

async function pngOf(picture) {
  return png(picture.picture, gallery.view === "shapes" ? await shapes(picture) : undefined);
}

async function saveZip(set) {
  const files = {};
  for (const picture of set.pictures.filter((each) => each.picture)) {
    files[`${nameOf(picture)}.png`] = await bytesOf(await pngOf(picture));
    files[`${nameOf(picture)}.svg`] = new TextEncoder().encode(await shapes(picture));
  }
  save(zip(files), `${stem(set.title)}-${set.seed}.zip`);
}

async function setView(view) {
  await gallery.setView(view);
  if (inspector.picture) await gallery.paint(inspector.picture, inspector.canvas);
}

async function startFrom(picture) {
  const canvas = document.createElement("canvas");
  show(canvas, picture.picture);
  open("picture", true);
  pad.put(canvas, canvas.width, canvas.height);
  element("prompt").focus();
  say("New samples start from this image");
}

async function startFromFile(file) {
  try {
    open("picture", true);
    await pad.putFile(file);
    say(`Draws start from ${file.name} now`);
  } catch (error) {
    say(error.message);
  }
}

async function paintThumbnail(number, canvas) {
  const { base, tile, columns } = app.training;
  app.training.image ??= loadedImage(new URL("thumbnails.webp", base).href);
  const image = await app.training.image, context = canvas.getContext("2d");
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
    if (app.description) drawAsked();
    else app.early = true; // sampled as soon as the model is loaded
  });
  element("form").addEventListener("invalid", ({ target }) => {
    if (target.closest("#settings-panel")) open("settings", true); // so that the error is visible
  }, true);
  element("stop").addEventListener("click", () => app.studio.stop());
  element("dice").addEventListener("click", () => { element("seed").value = Math.floor(Math.random() * 1e6); });
  element("keep").addEventListener("input", () => { element("keep-value").textContent = `${element("keep").value} %`; });
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
  app.training = icons && { ...icons, base: training };
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
  if (app.early) drawAsked();
  app.early = false;
}

function refuse(words) {
  element("refusal").textContent = words;
  element("refusal").hidden = false;
  element("draw").disabled = true;
  say(words);
}

async function start() {
  wire();
  const missing = NEEDED.find((name) => !(name in globalThis));
  if (missing) return refuse(`This browser has no ${missing}, which this page needs. A current Firefox, Chrome, Edge or Safari has it.`);
  app.studio = new Studio();
  const attempt = async (model) => {
    element("refusal").hidden = true;
    element("draw").disabled = false;
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
