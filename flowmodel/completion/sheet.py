"""The contact sheet of a completed set: a row per missing icon, next to icons of the set."""

from collections.abc import Sequence
from itertools import cycle

from PIL import Image

from flowmodel.completion.drawing import Drawing
from flowmodel.data.dataset import IconDataset
from flowmodel.images.grid import labeled_rows
from flowmodel.images.rgba import to_image

_BESIDE = 2  # icons of the set in each row


def contact_sheet(drawings: Sequence[Drawing], images: Sequence[Image.Image], dataset: IconDataset, count: int) -> Image.Image:
    """Each row has `count` samples of a name and icons of the set. Near copies are listed below the name."""
    own = cycle(to_image(rgba_4HW) for rgba_4HW in dataset.rgba_N4HW)
    names = dict(zip(dataset.ids, dataset.icons["name"], strict=True))
    rows = []
    for first in range(0, len(drawings), count):
        shown = range(first, first + count)
        copies = [(number - first + 1, drawings[number].near_copy_of) for number in shown if drawings[number].near_copy_of]
        notes = [f"{number}: near copy of {names[icon_id]}" for number, icon_id in copies if icon_id]
        rows.append((drawings[first].name, notes, [*(images[number] for number in shown), *(next(own) for _ in range(_BESIDE))]))
    captions = [*(str(number + 1) for number in range(count)), *["your set"] * _BESIDE]
    return labeled_rows(
        rows, captions, "Missing icons in the style of the set", f"{len(rows)} names, {len(dataset.ids)} icons in the set"
    )
