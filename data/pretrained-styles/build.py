"""Samples docs/images/gallery-styles.png with these weights: python data/pretrained-styles/build.py"""

from flowmodel.images.grid import image_grid
from flowmodel.images.rgba import to_image
from flowmodel.images.save import save_image
from flowmodel.model.generator import Generator
from flowmodel.model.pretrained import STYLES
from flowmodel.store import PROJECT_ROOT

NAMES = ("house", "rocket", "camera", "book", "umbrella", "calendar", "star", "laptop")
STYLE_WORDS = ("noto v1", "emojione", "streamline", "flat color", "fluent color", "ultimate", "plump blue")

if __name__ == "__main__":
    generator = Generator.from_pretrained(STYLES, "cpu")
    rgba = [generator.sample([f"{name}, {style} style" for name in NAMES], seed=0) for style in STYLE_WORDS]
    labels = [name if row == 0 else style for row, style in enumerate(STYLE_WORDS) for name in NAMES]
    images = [to_image(rgba_4HW) for rgba_N4HW in rgba for rgba_4HW in rgba_N4HW]
    save_image(image_grid(images, columns=len(NAMES), labels=labels), PROJECT_ROOT / "docs" / "images" / "gallery-styles.png")
