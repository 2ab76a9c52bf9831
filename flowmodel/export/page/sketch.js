// The pad for a sketch, or for an image from a file.
import { fitted, fromCanvas, loadedImage } from "./pixels.js";

const COLORS = {
  black: "#1f2328", white: "#ffffff", gray: "#9aa0a6", red: "#e5383b", orange: "#f58f29", yellow: "#ffd43b", green: "#40a651",
  blue: "#2f80ed", purple: "#8e5bd6", brown: "#8d5a3b",
};
const ERASER = "eraser";
const UNDO = 30;

const element = (id) => document.getElementById(id);

export class SketchPad {
  constructor() {
    this.canvas = element("sketch");
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.context.lineCap = this.context.lineJoin = "round";
    this.before = [];
    this.color = COLORS.red;
    for (const [name, color] of [...Object.entries(COLORS), [ERASER, ERASER]]) this.#addColor(name, color);
    this.canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    this.canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const kind of ["pointerup", "pointercancel"]) this.canvas.addEventListener(kind, () => { this.at = undefined; });
    element("undo").addEventListener("click", () => this.#undo());
    element("clear").addEventListener("click", () => this.clear());
    this.#changed();
  }

  get isEmpty() {
    const { width, height } = this.canvas, { data } = this.context.getImageData(0, 0, width, height);
    for (let i = 3; i < data.length; i += 4) if (data[i]) return false;
    return true;
  }

  // The sketch as the model's planes of `size` x `size` pixels; undefined if it is empty.
  image(size) {
    return this.isEmpty ? undefined : fromCanvas(fitted(this.canvas, 1, 1, size));
  }

  // An image, or a canvas.
  put(source, width, height) {
    this.#remember();
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.context.drawImage(fitted(source, width, height, this.canvas.width), 0, 0);
    this.#changed();
  }

  async putFile(file) {
    try {
      const image = await loadedImage(file);
      this.put(image, image.naturalWidth || 1, image.naturalHeight || 1); // an SVG may have no size
    } catch {
      throw new Error(`${file.name}: this browser can't read it as an image; choose a PNG, JPEG, WebP or SVG`);
    }
  }

  clear() {
    this.#remember();
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.#changed();
  }

  #addColor(name, color) {
    const label = document.createElement("label"), input = document.createElement("input"), spot = document.createElement("span");
    const words = document.createElement("span");
    Object.assign(input, { type: "radio", name: "color", value: name, checked: color === this.color });
    spot.className = name === ERASER ? "spot eraser" : "spot";
    if (name !== ERASER) spot.style.setProperty("background", color);
    words.className = "hidden";
    words.textContent = label.title = name;
    input.addEventListener("change", () => { this.color = color; });
    label.append(input, spot, words);
    element("colors").append(label);
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top].map((value) => (value / box.width) * this.canvas.width);
  }

  #begin(event) {
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.#remember();
    this.at = this.#place(event);
    this.#line(this.at);
  }

  #move(event) {
    if (this.at) this.#line(this.#place(event));
  }

  #line(to) {
    const isEraser = this.color === ERASER;
    this.context.globalCompositeOperation = isEraser ? "destination-out" : "source-over";
    this.context.strokeStyle = isEraser ? "#000" : this.color;
    this.context.lineWidth = element("brush").valueAsNumber;
    this.context.beginPath();
    this.context.moveTo(...this.at);
    this.context.lineTo(...to);
    this.context.stroke();
    this.context.globalCompositeOperation = "source-over";
    this.at = to;
    this.#changed();
  }

  #remember() {
    this.before.push(this.context.getImageData(0, 0, this.canvas.width, this.canvas.height));
    if (this.before.length > UNDO) this.before.shift();
  }

  #undo() {
    if (this.before.length) this.context.putImageData(this.before.pop(), 0, 0);
    this.#changed();
  }

  #changed() {
    element("pad-hint").hidden = !this.isEmpty;
    element("undo").disabled = !this.before.length;
  }
}
