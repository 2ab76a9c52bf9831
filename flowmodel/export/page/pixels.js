// Images between the model, which has premultiplied planes of bytes, and canvases.

export function imageData({ bytes, size }) {
  const image = new ImageData(size, size), pixels = size * size;
  for (let i = 0; i < pixels; i++) {
    const alpha = image.data[4 * i + 3] = bytes[3 * pixels + i];
    for (let c = 0; c < 3; c++) {
      image.data[4 * i + c] = alpha && Math.min(255, Math.floor((bytes[c * pixels + i] * 255 + (alpha >> 1)) / alpha));
    }
  }
  return image;
}

export function show(canvas, image) {
  if (canvas.width !== image.size) canvas.width = canvas.height = image.size;
  canvas.getContext("2d").putImageData(imageData(image), 0, 0);
}

export function canvasOf(size) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  return canvas;
}

// A drawable, fitted into the center of a square of `size` pixels.
export function fitted(source, width, height, size) {
  const canvas = canvasOf(size), context = canvas.getContext("2d");
  const scale = size / Math.max(width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, (size - scale * width) / 2, (size - scale * height) / 2, scale * width, scale * height);
  return canvas;
}

// A canvas's content as the model's planes.
export function fromCanvas(canvas) {
  const { width: size } = canvas, pixels = size * size, { data } = canvas.getContext("2d").getImageData(0, 0, size, size);
  const bytes = new Uint8Array(4 * pixels);
  for (let i = 0; i < pixels; i++) {
    const alpha = bytes[3 * pixels + i] = data[4 * i + 3];
    for (let c = 0; c < 3; c++) bytes[c * pixels + i] = Math.round(data[4 * i + c] * alpha / 255);
  }
  return { bytes, size };
}

// The image in a Blob or File.
export async function loadedImage(blob) {
  const image = new Image();
  image.src = URL.createObjectURL(blob);
  try {
    await image.decode();
  } finally {
    URL.revokeObjectURL(image.src);
  }
  return image;
}

export function svgImage(svg) {
  return loadedImage(new Blob([svg], { type: "image/svg+xml" }));
}
