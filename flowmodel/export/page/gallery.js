// The sets of samples, newest first. A set is {title, prompt, seed, notes, samples}, where notes are lines about its prompts;
// a sample has {label, prompt, options}, and once it is finished {image, frames, nearest}, and once it is traced {svg}.
import { button, element, make } from "./elements.js";
import { fitted, show, svgImage } from "./pixels.js";

const SHARP = 384; // edge of a card's canvas that shows shapes, in pixels
const MOST = 12; // maximum number of sets

export class Gallery {
  // `chosen` is called with the selected image; `more` and `zip` with the set whose button is pressed.
  constructor({ chosen, more, zip }) {
    this.told = { chosen, more, zip };
    this.sets = [];
    this.view = "shapes";
  }

  addSet(set) {
    const list = make("ul", { className: "cards", "aria-label": set.title }), told = make("p", { className: "meta" });
    const actions = make("div", { className: "row" }), notes = set.notes.map((line) => make("p", { className: "note", role: "note" }, line));
    if (set.canHaveMore) actions.append(button("More", () => this.told.more(set), { className: "quiet", "aria-label": `More of ${set.title}` }));
    actions.append(button("ZIP", () => this.told.zip(set), { className: "quiet", "aria-label": `Download all of ${set.title} as ZIP` }));
    const head = make("div", { className: "set-head" }, make("div", {}, make("h2", {}, set.title), told, ...notes), actions);
    set.element = make("div", { className: "set", role: "group", "aria-label": set.title }, head, list);
    Object.assign(set, { list, told, actions });
    list.addEventListener("keydown", (event) => this.#arrow(event, set));
    element("empty").hidden = true;
    element("samples").prepend(set.element);
    this.sets.unshift(set);
    for (const old of this.sets.splice(MOST)) old.element.remove();
  }

  // A placeholder for an image that is not sampled yet.
  addSample(set, sample) {
    sample.canvas = make("canvas", { width: 64, height: 64, "aria-hidden": "true" });
    sample.card = button(sample.canvas, ({ detail }) => this.choose(sample, detail === 0), { className: "card", disabled: true });
    sample.card.setAttribute("aria-label", sample.label);
    sample.card.setAttribute("aria-pressed", "false");
    sample.item = make("li", {}, sample.card);
    if (sample.caption) sample.item.append(make("span", { className: "caption" }, sample.caption));
    set.list.append(sample.item);
    set.samples.push(sample);
    sample.set = set;
  }

  remove(sample) {
    sample.item.remove();
    sample.set.samples.splice(sample.set.samples.indexOf(sample), 1);
    if (sample.set.samples.length) return;
    sample.set.element.remove();
    this.sets.splice(this.sets.indexOf(sample.set), 1);
    element("empty").hidden = this.sets.length > 0;
  }

  ready(sample) {
    sample.card.disabled = false;
    sample.card.tabIndex = sample.set.samples[0] === sample ? 0 : -1;
    show(sample.canvas, sample.image);
  }

  // `byKey`: with Enter or the space bar, after which the focus moves to the actions for the image.
  choose(sample, byKey = false) {
    for (const each of document.querySelectorAll(".card[aria-pressed=true]")) each.setAttribute("aria-pressed", "false");
    for (const each of sample.set.samples) each.card.tabIndex = each === sample ? 0 : -1;
    sample.card.setAttribute("aria-pressed", "true");
    this.told.chosen(sample, byKey);
  }

  async paint(sample, canvas = sample.canvas) {
    if (this.view === "pixels" || !sample.svg) return show(canvas, sample.image);
    sample.vectors ??= await svgImage(sample.svg);
    canvas.width = canvas.height = SHARP;
    canvas.getContext("2d").drawImage(fitted(sample.vectors, 1, 1, SHARP), 0, 0);
  }

  async setView(view) {
    this.view = view;
    for (const set of this.sets) for (const sample of set.samples) if (sample.image) await this.paint(sample);
  }

  #arrow(event, { list, samples: all }) {
    const samples = all.filter(({ image }) => image), cards = samples.map(({ card }) => card);
    const now = cards.indexOf(document.activeElement);
    const columns = getComputedStyle(list).gridTemplateColumns.split(" ").length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    const next = event.key === "Home" ? 0 : event.key === "End" ? cards.length - 1 : now + step;
    if (!cards[next] || now < 0) return;
    event.preventDefault();
    cards[next].focus();
    this.choose(samples[next]);
  }
}
