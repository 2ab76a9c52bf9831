// The sets of pictures, newest first. A set is {title, prompt, seed, notes, pictures}, where notes are lines about its prompts;
// a picture has {label, prompt, options}, and once it is drawn {picture, frames, nearest}, and once it is traced {svg}.
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
    element("pictures").prepend(set.element);
    this.sets.unshift(set);
    for (const old of this.sets.splice(MOST)) old.element.remove();
  }

  // A placeholder for an image that is not sampled yet.
  addPicture(set, picture) {
    picture.canvas = make("canvas", { width: 64, height: 64, "aria-hidden": "true" });
    picture.card = button(picture.canvas, ({ detail }) => this.choose(picture, detail === 0), { className: "card", disabled: true });
    picture.card.setAttribute("aria-label", picture.label);
    picture.card.setAttribute("aria-pressed", "false");
    picture.item = make("li", {}, picture.card);
    if (picture.caption) picture.item.append(make("span", { className: "caption" }, picture.caption));
    set.list.append(picture.item);
    set.pictures.push(picture);
    picture.set = set;
  }

  remove(picture) {
    picture.item.remove();
    picture.set.pictures.splice(picture.set.pictures.indexOf(picture), 1);
    if (picture.set.pictures.length) return;
    picture.set.element.remove();
    this.sets.splice(this.sets.indexOf(picture.set), 1);
    element("empty").hidden = this.sets.length > 0;
  }

  ready(picture) {
    picture.card.disabled = false;
    picture.card.tabIndex = picture.set.pictures[0] === picture ? 0 : -1;
    show(picture.canvas, picture.picture);
  }

  // `byKey`: with Enter or the space bar, after which the focus moves to the actions for the image.
  choose(picture, byKey = false) {
    for (const each of document.querySelectorAll(".card[aria-pressed=true]")) each.setAttribute("aria-pressed", "false");
    for (const each of picture.set.pictures) each.card.tabIndex = each === picture ? 0 : -1;
    picture.card.setAttribute("aria-pressed", "true");
    this.told.chosen(picture, byKey);
  }

  async paint(picture, canvas = picture.canvas) {
    if (this.view === "pixels" || !picture.svg) return show(canvas, picture.picture);
    picture.image ??= await svgImage(picture.svg);
    canvas.width = canvas.height = SHARP;
    canvas.getContext("2d").drawImage(fitted(picture.image, 1, 1, SHARP), 0, 0);
  }

  async setView(view) {
    this.view = view;
    for (const set of this.sets) for (const picture of set.pictures) if (picture.picture) await this.paint(picture);
  }

  #arrow(event, { list, pictures: all }) {
    const pictures = all.filter(({ picture }) => picture), cards = pictures.map(({ card }) => card);
    const now = cards.indexOf(document.activeElement);
    const columns = getComputedStyle(list).gridTemplateColumns.split(" ").length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    const next = event.key === "Home" ? 0 : event.key === "End" ? cards.length - 1 : now + step;
    if (!cards[next] || now < 0) return;
    event.preventDefault();
    cards[next].focus();
    this.choose(pictures[next]);
  }
}
