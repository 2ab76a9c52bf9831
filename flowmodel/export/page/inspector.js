// Information about an image, and actions for it.
import { button, element, make } from "./elements.js";
import { show } from "./pixels.js";

const PLAY_MILLISECONDS = 1800;
const VERDICTS = {
  copy: "No: it is nearly a copy of a training icon, whose license applies.",
  close: "Hardly: it is about as close to a training icon as training icons are to one another.",
  new: "Yes: it is farther from every training icon than most of these are from one another.",
};

export class Inspector {
  // `told` has functions png, svg, vary, start and view, called with the image or the name of the view; `paint` shows an image.
  constructor(told, paint) {
    this.told = told;
    this.paint = paint;
    this.box = element("inspector");
  }

  show(sample, view) {
    this.sample = sample;
    this.canvas = make("canvas", { width: 64, height: 64, role: "img", "aria-label": sample.label });
    const views = make("fieldset", { className: "segments words" }, make("legend", { className: "hidden" }, "Shown as"));
    for (const name of ["shapes", "pixels"]) {
      const input = make("input", { type: "radio", name: "view", value: name, checked: name === view });
      input.addEventListener("change", () => this.told.view(name));
      views.append(make("label", {}, input, make("span", {}, name === "shapes" ? "Shapes" : "Pixels")));
    }
    const act = (words, name, className, label) =>
      button(words, () => this.told[name](sample), { className, "aria-label": label ?? words });
    this.box.replaceChildren(
      make("div", { className: "stage" }, this.canvas),
      make("div", { className: "about" },
        make("div", { className: "row spread" }, make("h2", { tabIndex: -1 }, sample.caption ?? `Image ${sample.options.number + 1}`), views),
        make("p", { className: "meta" }, sample.set.title),
        make("div", { className: "row" }, act("PNG", "png", "primary", "Download as PNG of 512 pixels"), act("SVG", "svg", "", "Download as SVG"),
          button("Play", () => this.play(), { "aria-label": "Play its way from noise to icon" })),
        make("div", { className: "row" }, act("Variations", "vary", "", "Generate variations of it"), act("Start from it", "start", "")),
        ...this.#nearest(sample)));
    this.box.hidden = false;
    return this.paint(sample, this.canvas);
  }

  focus() {
    this.box.querySelector("h2").focus();
  }

  // Noise becoming the icon, straight from step to step.
  play() {
    const { sample, canvas } = this, { frames } = sample, began = performance.now();
    const size = frames[0].size, large = { bytes: new Uint8Array(4 * size * size), size };
    this.playing = began;
    const paint = (now) => {
      if (this.playing !== began || this.canvas !== canvas) return;
      const at = Math.max(0, now - began) / PLAY_MILLISECONDS * (frames.length - 1), i = Math.floor(at), share = at - i;
      if (i >= frames.length - 1) {
        this.playing = undefined;
        this.paint(sample, canvas);
        return;
      }
      large.bytes.forEach((_, k) => { large.bytes[k] = (1 - share) * frames[i].bytes[k] + share * frames[i + 1].bytes[k]; });
      show(canvas, large);
      requestAnimationFrame(paint);
    };
    requestAnimationFrame(paint);
  }

  #nearest({ nearest }) {
    if (!nearest) return [];
    const list = make("ul", { className: "nearest" }, ...nearest.icons.map(({ name, style, distance, thumbnail }) => {
      const canvas = make("canvas", { width: 48, height: 48, "aria-hidden": "true", hidden: thumbnail < 0 });
      if (thumbnail >= 0) this.told.thumbnail(thumbnail, canvas);
      const words = make("span", {}, name, make("small", {}, `${style ? `${style}, ` : ""}differs by ${(100 * distance).toFixed(1)}%`));
      return make("li", {}, canvas, words);
    }));
    return [make("h3", {}, "Is it new?"), make("p", { className: `verdict ${nearest.verdict}` }, VERDICTS[nearest.verdict]), list];
  }
}
