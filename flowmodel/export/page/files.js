// Downloads.
import { zipSync } from "./vendor/fflate.js";
import { canvasOf, fitted, imageData, svgImage } from "./pixels.js";

const EDGE = 512;

export function stem(prompt) {
  return prompt.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60) || "image";
}

// A PNG of 512 × 512 pixels: of the shapes `svg` if given, else of the pixels.
export async function png(image, svg) {
  const own = canvasOf(image.size);
  own.getContext("2d").putImageData(imageData(image), 0, 0);
  const large = fitted(svg ? await svgImage(svg) : own, 1, 1, EDGE);
  return new Promise((resolve) => large.toBlob(resolve, "image/png"));
}

// `files` by name, as Uint8Array.
export function zip(files) {
  return new Blob([zipSync(files, { level: 0 })], { type: "application/zip" }); // PNGs hardly compress
}

export async function bytesOf(blob) {
  return new Uint8Array(await blob.arrayBuffer());
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
