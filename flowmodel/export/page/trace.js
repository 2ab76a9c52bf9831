// An icon of pixels as SVG. The colors are clustered, the image is enlarged and cut into layers of one fill, and vtracer
// (https://github.com/visioncortex/vtracer, the npm package vectortracer) traces a curve around each. Simpler than flowmodel/vector.
import { fetchBytes } from "./fetching.js";
import { fills } from "./gradients.js";
import * as vtracer from "./vendor/vectortracer_bg.js";

const SCALE = 4; // of the enlarged image, in which curves are traced
const MOST_COLORS = 16;
const ENOUGH = 0.0012; // weighted mean of squared distances with which no more colors are added
const EDGE = 0.02; // squared distance of neighbors across an edge
const OPAQUE = 0.5;
const SMOOTHING = 2; // radius of the majority vote that smooths borders, in enlarged pixels
const OVERLAP = 2; // overlap of a layer under the ones above it
const SPECK = 10; // smaller parts are omitted, in enlarged pixels
const OPTIONS = { mode: "spline", filterSpeckle: 0, lengthThreshold: 10, pathPrecision: 1 };

let isLoaded = false;

// Loads vtracer, before the first trace.
export async function loadTracer() {
  if (isLoaded) return;
  const bytes = await fetchBytes(new URL("./vendor/vectortracer_bg.wasm", import.meta.url));
  const { instance } = await WebAssembly.instantiate(bytes, { "./vectortracer_bg.js": vtracer });
  vtracer.__wbg_set_wasm(instance.exports);
  isLoaded = true;
}

// The file for an image of `size` pixels an edge: `bytes` are premultiplied, four planes.
export function trace({ bytes, size }) {
  const edge = size * SCALE, large = enlarged(bytes, size);
  const places = inner(bytes, size), colors = places.length ? palette(places) : [];
  const of = fills(places.map((place) => ({ ...place, label: nearest(colors, place.color) })), colors, size);
  const found = [...new Set(of)], numbers = of.map((fill) => found.indexOf(fill));
  const smooth = voted(labeled(large, colors).map((label) => numbers[label] ?? -1), edge, found.length);
  const areas = new Array(found.length).fill(0);
  for (const label of smooth) if (label >= 0) areas[label]++;
  const order = found.map((_, label) => label).filter((label) => areas[label] > 0).sort((a, b) => areas[b] - areas[a]);
  const place = new Int32Array(found.length).fill(-1);
  order.forEach((label, at) => { place[label] = at; });
  const paths = order.map((label) => {
    const { color, ends } = found[label], fill = ends ? `url(#g${label})` : hex(color);
    return (ends ? linear(`g${label}`, ends) : "") + outline(layer(smooth, edge, place, place[label]), edge).map((d) => `<path fill="${fill}" d="${d}"/>`).join("");
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="512" height="512" viewBox="0 0 ${size} ${size}">${paths.join("")}</svg>\n`;
}

function hex(color) {
  return `#${color.map((value) => Math.round(255 * value).toString(16).padStart(2, "0")).join("")}`;
}

function linear(id, ends) {
  const places = ends.map(({ x, y }, i) => `x${i + 1}="${x.toFixed(2)}" y${i + 1}="${y.toFixed(2)}"`).join(" ");
  const stops = ends.map(({ color }, i) => `<stop offset="${i}" stop-color="${hex(color)}"/>`).join("");
  return `<linearGradient id="${id}" gradientUnits="userSpaceOnUse" ${places}>${stops}</linearGradient>`;
}

// Four planes in [0, 1], premultiplied: cubic (Catmull and Rom) in both directions.
function enlarged(bytes, size) {
  const edge = size * SCALE, planes = [];
  const at = Array.from({ length: edge }, (_, i) => (i + 0.5) / SCALE - 0.5);
  const taps = at.map((x) => {
    const start = Math.floor(x), u = x - start;
    const weights = [
      ((2 - u) * u - 1) * u / 2, ((3 * u - 5) * u * u + 2) / 2, ((4 - 3 * u) * u + 1) * u / 2, (u - 1) * u * u / 2,
    ];
    return weights.map((weight, k) => [Math.min(size - 1, Math.max(0, start - 1 + k)), weight]);
  });
  for (let c = 0; c < 4; c++) {
    const plane = bytes.subarray(c * size * size, (c + 1) * size * size);
    const wide = new Float32Array(size * edge), large = new Float32Array(edge * edge);
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < edge; x++) wide[y * edge + x] = taps[x].reduce((sum, [k, w]) => sum + w * plane[y * size + k], 0) / 255;
    }
    for (let y = 0; y < edge; y++) {
      for (let x = 0; x < edge; x++) {
        const sum = taps[y].reduce((total, [k, w]) => total + w * wide[k * edge + x], 0);
        large[y * edge + x] = Math.min(1, Math.max(0, sum));
      }
    }
    planes.push(large);
  }
  return planes;
}

// The color of each point, -1 if it is transparent.
function labeled([red, green, blue, alpha], colors) {
  return Int32Array.from(alpha, (own, i) => (own < OPAQUE ? -1 : nearest(colors, [red[i] / own, green[i] / own, blue[i] / own])));
}

// The opaque pixels with straight colors in [0, 1] and weights.
function inner(bytes, size) {
  const pixels = size * size, chosen = [];
  const plane = (c) => bytes.subarray(c * pixels, (c + 1) * pixels);
  const [red, green, blue, alpha] = [0, 1, 2, 3].map(plane);
  const straight = (i) => [red, green, blue].map((own) => Math.min(1, own[i] / alpha[i]));
  for (let i = 0; i < pixels; i++) {
    if (alpha[i] < 255 * OPAQUE) continue;
    // Pixels on an edge are mixtures, and would need extra colors.
    const around = [i - 1, i + 1, i - size, i + size].filter((k) => k >= 0 && k < pixels && alpha[k] > 0).map(straight);
    const own = straight(i), change = Math.max(...around.map((other) => distance(own, other)), 0);
    chosen.push({ x: i % size, y: Math.floor(i / size), color: own, weight: (alpha[i] / 255) ** 4 / (1 + (change / EDGE) ** 2) });
  }
  return chosen;
}

function distance(one, other) {
  return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 + (one[2] - other[2]) ** 2;
}

function nearest(colors, color) {
  let best = 0, least = Infinity;
  for (let k = 0; k < colors.length; k++) {
    const found = distance(colors[k], color);
    if (found < least) { least = found; best = k; }
  }
  return best;
}

// The fewest colors with a small error: k-means, with one more color at the largest error until that is small.
function palette(chosen) {
  const total = chosen.reduce((sum, { weight }) => sum + weight, 0);
  let colors = [chosen[0].color];
  for (;;) {
    let error, most, furthest;
    for (let round = 0; round < 8; round++) {
      const sums = colors.map(() => [0, 0, 0, 0]);
      error = most = 0;
      for (const { color, weight } of chosen) {
        const k = nearest(colors, color), off = weight * distance(colors[k], color);
        error += off;
        if (off > most) { most = off; furthest = color; }
        for (let c = 0; c < 3; c++) sums[k][c] += weight * color[c];
        sums[k][3] += weight;
      }
      colors = colors.map((color, k) => (sums[k][3] > 0 ? sums[k].slice(0, 3).map((sum) => sum / sums[k][3]) : color));
    }
    if (error / total < ENOUGH || colors.length === MOST_COLORS || most === 0) return colors;
    colors.push(furthest);
  }
}

// A majority vote over each point's neighborhood, including transparency.
function voted(labels, edge, count) {
  const best = new Float32Array(labels.length).fill(-1), found = new Int32Array(labels.length).fill(-1);
  for (let label = -1; label < count; label++) {
    const own = new Float32Array(labels.length);
    for (let i = 0; i < own.length; i++) if (labels[i] === label) own[i] = 1;
    const share = blurred(own, edge);
    for (let i = 0; i < share.length; i++) if (share[i] > best[i]) { best[i] = share[i]; found[i] = label; }
  }
  return found;
}

// Means over a square, twice.
function blurred(plane, edge) {
  for (let round = 0; round < 2; round++) for (const step of [1, edge]) {
    const out = new Float32Array(plane.length), other = step === 1 ? edge : 1;
    for (let line = 0; line < edge; line++) {
      let sum = 0;
      const at = (k) => (k < 0 || k >= edge ? 0 : plane[line * other + k * step]);
      for (let k = -SMOOTHING; k <= SMOOTHING; k++) sum += at(k);
      for (let k = 0; k < edge; k++) {
        out[line * other + k * step] = sum;
        sum += at(k + SMOOTHING + 1) - at(k - SMOOTHING);
      }
    }
    plane = out;
  }
  return plane;
}

// The painted area of a color: its own points, and a rim under the layers above it.
function layer(labels, edge, place, own) {
  let mask = new Uint8Array(labels.length);
  for (let i = 0; i < mask.length; i++) if (labels[i] >= 0 && place[labels[i]] === own) mask[i] = 1;
  for (let round = 0; round < OVERLAP; round++) {
    const grown = mask.slice();
    for (let i = 0; i < mask.length; i++) {
      if (mask[i] || labels[i] < 0 || place[labels[i]] < own) continue;
      const x = i % edge;
      if ((x > 0 && mask[i - 1]) || (x < edge - 1 && mask[i + 1]) || mask[i - edge] || mask[i + edge]) grown[i] = 1;
    }
    mask = grown;
  }
  return mask;
}

// The paths around a mask, in pixels of the icon.
function outline(mask, edge) {
  const image = new ImageData(edge, edge);
  for (let i = 0; i < mask.length; i++) image.data.fill(mask[i] ? 0 : 255, 4 * i, 4 * i + 3);
  const converter = new vtracer.BinaryImageConverter(image, { ...OPTIONS, filterSpeckle: Math.round(Math.sqrt(SPECK)) }, {});
  converter.init();
  while (!converter.tick());
  const svg = converter.getResult();
  converter.free();
  return Array.from(svg.matchAll(/<path\s[^>]*>/g), ([path]) => {
    const [moveX, moveY] = (/translate\(([-\d.]+)[ ,]+([-\d.]+)\)/.exec(path) ?? [0, 0, 0]).slice(1).map(Number);
    let isX = false;
    return /\sd="([^"]*)"/.exec(path)[1].trim().replace(/-?\d+(\.\d+)?/g, (number) => {
      isX = !isX;
      return String(Math.round(100 * (Number(number) + (isX ? moveX : moveY)) / SCALE) / 100);
    });
  });
}
