// Merges neighboring colors that are the bands of one gradient. As in flowmodel/vector/regions.py, the color of a fill may change
// linearly: it is fitted by weighted least squares, and only sums are kept, so that those of two bands can be added.

const ENOUGH = 0.0012; // largest mean squared error of the linear change with which two colors are merged
const STEP = 0.006; // largest mean squared distance between neighboring pixels across a border; above it, the border is an edge
const LEAST_CHANGE = 0.07; // distance between the ends of a gradient below which a fill is flat
const STIFFNESS = 10; // keeps the slope of tiny regions near 0, in pixels squared

// Takes pixels {x, y, color, weight, label}. Returns the fill of each label, {color} or {color, ends: [{x, y, color}, ...]}; the
// labels of one gradient have the same fill.
export function fills(places, colors, size) {
  const parts = colors.map((color) => ({ color, sums: new Float64Array(18), labels: 0 })), of = colors.map((_, label) => label);
  const at = new Map(places.map((place) => [place.y * size + place.x, place])), borders = new Map();
  for (const place of places) {
    const { x, y, color, weight, label } = place, u = [1, x, y], own = parts[label];
    u.forEach((a, i) => u.forEach((b, j) => { own.sums[3 * i + j] += weight * a * b; }));
    u.forEach((a, i) => color.forEach((b, c) => { own.sums[9 + 3 * i + c] += weight * a * b; }));
    own.squares = (own.squares ?? 0) + weight * color.reduce((sum, value) => sum + value * value, 0);
    own.labels = 1;
    for (const other of [x + 1 < size && at.get(y * size + x + 1), at.get((y + 1) * size + x)]) {
      if (!other || other.label === label) continue;
      const key = [label, other.label].sort((a, b) => a - b).join(), border = borders.get(key) ?? { pixels: 0, step: 0 };
      const counts = Math.min(weight, other.weight);
      border.pixels += counts;
      border.step += counts * color.reduce((sum, value, c) => sum + (value - other.color[c]) ** 2, 0);
      borders.set(key, border);
    }
  }
  for (;;) {
    let best;
    for (const [key, { pixels, step }] of borders) {
      const [one, other] = key.split(",").map((label) => of[label]);
      if (one === other || pixels < 2 || step / pixels > STEP) continue;
      const together = joined(parts[one], parts[other]);
      if (together.error < Math.min(ENOUGH, best?.together.error ?? ENOUGH)) best = { one, other, together };
    }
    if (!best) break;
    parts[best.one] = best.together;
    of.forEach((part, label) => { if (part === best.other) of[label] = best.one; });
  }
  const found = parts.map((part, number) => (part.labels > 1 ? gradient(part, places.filter(({ label }) => of[label] === number)) : part));
  return of.map((part) => found[part]);
}

function joined(one, other) {
  const sums = one.sums.map((sum, i) => sum + other.sums[i]), squares = (one.squares ?? 0) + (other.squares ?? 0);
  const [weight, ...rest] = sums, center = { x: rest[0] / weight, y: rest[1] / weight };
  const color = [9, 10, 11].map((i) => sums[i] / weight);
  const xx = sums[4] - weight * center.x ** 2 + STIFFNESS, yy = sums[8] - weight * center.y ** 2 + STIFFNESS;
  const xy = sums[5] - weight * center.x * center.y, determinant = xx * yy - xy * xy;
  let error = squares;
  const slopes = color.map((mean, c) => {
    const xc = sums[12 + c] - weight * center.x * mean, yc = sums[15 + c] - weight * center.y * mean;
    const slope = [(yy * xc - xy * yc) / determinant, (xx * yc - xy * xc) / determinant];
    error -= weight * mean * mean + slope[0] * xc + slope[1] * yc;
    return slope;
  });
  return { sums, squares, center, color, slopes, error: error / weight, labels: one.labels + other.labels };
}

// Along the line of the largest change; all channels change along it.
function gradient({ color, center, slopes }, places) {
  const sum = (term) => slopes.reduce((total, slope) => total + term(slope), 0);
  const angle = Math.atan2(2 * sum(([x, y]) => x * y), sum(([x, y]) => x * x - y * y)) / 2, line = [Math.cos(angle), Math.sin(angle)];
  const along = places.map(({ x, y }) => (x - center.x) * line[0] + (y - center.y) * line[1]);
  const rise = slopes.map(([x, y]) => x * line[0] + y * line[1]);
  const ends = [Math.min(...along), Math.max(...along)].map((t) => ({
    x: center.x + t * line[0] + 0.5, y: center.y + t * line[1] + 0.5,
    color: color.map((mean, c) => Math.min(1, Math.max(0, mean + t * rise[c]))),
  }));
  const change = Math.hypot(...ends[0].color.map((value, c) => value - ends[1].color[c]));
  return change < LEAST_CHANGE ? { color } : { color, ends };
}
