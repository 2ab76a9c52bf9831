"""From a finished training to what lies in this folder, and to the images of it in docs/images.

    python data/pretrained/build.py data/store/pretrained-run/final.safetensors
    python data/pretrained/build.py               # the images alone

Run it in the project's virtual environment. The weights will draw as the recipe `pretrained` says. The evaluation reads the
icons of sources.yaml and takes some minutes.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from flowmodel.files import write_bytes
from flowmodel.images.animation import write_animation
from flowmodel.images.grid import image_grid
from flowmodel.images.rgba import to_image
from flowmodel.images.save import save_image
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.model.generator import Generator
from flowmodel.model.pretrained import FOLDER, export_weights
from flowmodel.recipes import load_recipe
from flowmodel.store import PROJECT_ROOT

IMAGES = PROJECT_ROOT / "docs" / "images"
STYLES = ("noto", "twemoji", "fluent flat")
MORE_STYLES = ("noto v1", "emojione", "streamline", "flat color", "fluent color", "ultimate", "plump blue")
IN_MORE_STYLES = ("house", "rocket", "camera", "book", "umbrella", "calendar", "star", "laptop")
SEEN = ("red heart", "pizza", "pig face", "smiling face with sunglasses", "red apple", "house", "soccer ball", "rocket")
# Held out of the training in all three styles: every 8th of these 69 names, whatever they look like.
UNSEEN = (
    "blossom",
    "closed mailbox with raised flag",
    "envelope",
    "key",
    "man running: facing right",
    "person with crown",
    "shrimp",
    "tanabata tree",
)
# No emoji is called so.
INVENTED = ("blue heart with sunglasses", "purple apple", "green cat face", "angry pizza", "red leaf", "yellow car", "pink moon")


def main(checkpoint: Checkpoint) -> None:
    weights = export_weights(checkpoint, FOLDER, load_recipe("pretrained").sampling)
    write_bytes(FOLDER / "recipe.yaml", yaml.safe_dump(weights.recipe.model_dump(mode="json"), sort_keys=False).encode())
    draw_gallery()
    evaluate = [sys.executable, "-m", "flowmodel", "evaluate", "--model", weights.path, "--sources", FOLDER / "sources.yaml"]
    report = PROJECT_ROOT / "data" / "store" / "pretrained-report.html"
    subprocess.run([*evaluate, "--icons", "128", "--json", FOLDER / "metrics.json", "--out", report], check=True)


def draw_gallery() -> None:
    """Styles side by side, captions that no icon has, and an animation."""
    generator = Generator.from_pretrained(device="cpu")
    for name, prompts in (("gallery-seen", SEEN), ("gallery-unseen", UNSEEN), ("gallery-invented", INVENTED)):
        draw_rows(generator, name, prompts, STYLES)
    draw_rows(generator, "gallery-styles", IN_MORE_STYLES, MORE_STYLES)
    states_SN4HW = generator.trajectory([f"{prompt}, noto style" for prompt in SEEN]).states_SBCHW.numpy()
    write_animation(states_SN4HW, IMAGES / "gallery-animation.png")


def draw_rows(generator: Generator, name: str, prompts: Sequence[str], styles: Sequence[str]) -> None:
    rows = [(style, [f"{prompt}, {style} style" for prompt in prompts]) for style in styles]
    images = [to_image(rgba_4HW) for _, texts in rows for rgba_4HW in generator.sample(texts, seed=0)]
    labels = [prompt if row == 0 else style for row, (style, _) in enumerate(rows) for prompt in prompts]
    save_image(image_grid(images, columns=len(prompts), labels=labels), IMAGES / f"{name}.png")


if __name__ == "__main__":
    if sys.argv[1:]:
        main(Checkpoint.open(Path(sys.argv[1])))
    else:
        draw_gallery()
