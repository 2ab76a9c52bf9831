"""The contact sheet of a completed set: a row per missing icon, next to icons of the set."""

from collections.abc import Sequence
from itertools import cycle

from PIL import Image

from flowmodel.completion.drawing import Drawing
from flowmodel.data.dataset import IconDataset
from flowmodel.images.grid import labeled_rows
from flowmodel.images.rgba import to_image

_BESIDE = 2  # icons of the set in each row


def contact_sheet(
    drawings: Sequence[Drawing], images: Sequence[Image.Image], dataset: IconDataset, rows: Sequence[int], count: int
) -> Image.Image:
    """Each row has `count` samples of a name and two icons of the set, which are the `rows` of `dataset`. Near copies are listed
    below the name.
    """
    own = cycle(to_image(dataset.rgba_N4HW[row]) for row in rows)
    names = dict(zip(dataset.ids, dataset.icons["name"], strict=True))
    lines = []
    for first in range(0, len(drawings), count):
        shown = range(first, first + count)
        copies = [(number - first + 1, drawings[number].near_copy_of) for number in shown if drawings[number].near_copy_of]
        notes = [f"{number}: near copy of {names[icon_id]}" for number, icon_id in copies if icon_id]
        lines.append((drawings[first].name, notes, [*(images[number] for number in shown), *(next(own) for _ in range(_BESIDE))]))
    captions = [*(str(number + 1) for number in range(count)), *["your set"] * _BESIDE]
    return labeled_rows(
        lines, captions, "Missing icons in the style of the set", f"{len(lines)} names, {len(rows)} icons in the set"
    )
