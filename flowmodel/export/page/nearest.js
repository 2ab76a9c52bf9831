// The training icons that are nearest to an image. The page has only a code of each icon: its image, averaged to GRID x GRID
// and projected on random directions, from which the image cannot be reconstructed (flowmodel/export/training_icons.py).
import { fetchJson, fetchListed } from "./fetching.js";
import { standardNormal } from "./noise.js";

const COPY = 1 / 3; // of the distance to the second nearest (flowmodel/evaluation/metrics/memorization.py)

export class NearestIcons {
  static async load(base) {
    const self = new NearestIcons(), of = await fetchJson(new URL("icons.json", base));
    if (!of.names.length) return undefined;
    Object.assign(self, of);
    self.codes = new Int16Array(await fetchListed(base, "codes.bin", of.files));
    self.directions = standardNormal(0, of.width * 4 * of.grid ** 2);
    return self;
  }

  // The projections of an image onto the random directions, in units of `scale`.
  code({ bytes, size }) {
    const reduced = averaged(bytes, size, this.grid), code = new Float32Array(this.width);
    for (let k = 0; k < this.width; k++) {
      let sum = 0;
      for (let i = 0; i < reduced.length; i++) sum += this.directions[k * reduced.length + i] * reduced[i];
      code[k] = sum / this.scale;
    }
    return code;
  }

  // The three nearest, with their distances: of pixels in [0, 1], root mean square; and the verdict: copy, close or new.
  find(image) {
    const code = this.code(image), found = [];
    for (let n = 0; n < this.names.length; n++) {
      let sum = 0;
      for (let k = 0; k < this.width; k++) sum += (this.codes[n * this.width + k] - code[k]) ** 2;
      found.push({ number: n, sum });
    }
    found.sort((a, b) => a.sum - b.sum);
    const distances = found.slice(0, 3).map(({ number, sum }) => ({
      number, name: this.names[number], style: this.styles[this.style_of[number]], thumbnail: this.thumbnails[number],
      distance: this.scale * Math.sqrt(sum / this.width / (4 * this.grid ** 2)),
    }));
    const [first, second] = distances;
    const verdict = first.distance < COPY * (second?.distance ?? 0) || first.distance < this.near / 2 ? "copy"
      : first.distance < this.near ? "close" : "new";
    return { icons: distances, verdict };
  }
}

function averaged(bytes, size, grid) {
  const reduced = new Float32Array(4 * grid * grid), share = size / grid;
  for (let c = 0; c < 4; c++) for (let y = 0; y < grid; y++) for (let x = 0; x < grid; x++) {
    let sum = 0, count = 0;
    for (let v = Math.floor(y * share); v < Math.max(Math.floor(y * share) + 1, Math.floor((y + 1) * share)); v++) {
      for (let u = Math.floor(x * share); u < Math.max(Math.floor(x * share) + 1, Math.floor((x + 1) * share)); u++) {
        sum += bytes[(c * size + v) * size + u];
        count++;
      }
    }
    reduced[(c * grid + y) * grid + x] = sum / count / 255;
  }
  return reduced;
}
