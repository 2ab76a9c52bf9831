"""English captions of the icons with their pooled vectors: the prompts of samples and the training data of the caption probe.

Shape suffixes: T captions, D the caption encoder's width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flowmodel.data.captions import ENGLISH
from flowmodel.data.dataset import IconDataset


@dataclass(frozen=True)
class Captions:
    """English captions: `table` has the columns icon_id, text and template; caption i's vector is `pooled_TD[i]`."""

    table: pd.DataFrame
    pooled_TD: NDArray[np.float32]

    @classmethod
    def load(cls, dataset: IconDataset) -> "Captions":
        """Read the captions; raises FlowmodelError when a table can't be read, or a caption has no vectors."""
        captions = dataset.captions
        is_english_T = (captions.table["language"] == ENGLISH).to_numpy()
        table = captions.table.loc[is_english_T, ["icon_id", "text", "template"]].reset_index(drop=True)
        return cls(table, captions.pooled_TD[is_english_T])

    def rows_of(self, ids: Sequence[str]) -> list[NDArray[np.integer]]:
        """The indices of each icon's captions."""
        numbers = self.table.groupby("icon_id").indices
        return [np.asarray(numbers[icon_id]) for icon_id in ids]

    def prompts(self, ids: Sequence[str], several_sources: bool) -> tuple[str, list[str], NDArray[np.float32]]:
        """The prompts of these icons: their template, texts and vectors.

        The prompt is the icon's name, or the name with the style if several sources have icons of the same concepts and every
        icon has such a caption.
        """
        by_template = {
            str(template): dict(zip(of["icon_id"], of.index, strict=True)) for template, of in self.table.groupby("template")
        }
        has_styles = set(ids) <= by_template.get("name_style", {}).keys()
        template = "name_style" if several_sources and has_styles else "name"
        rows = [by_template[template][icon_id] for icon_id in ids]
        return template, self.table["text"][rows].tolist(), self.pooled_TD[rows]
