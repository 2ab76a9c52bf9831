"""Metadata of icons tables, look-alikes and splits for the Dagster UI."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from pipelines.reporting import image_metadata, table

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from flowmodel.text.readability import Readability

CONTACT_SHEET = 96
SHOWN_PAIRS = 24
LISTED = 100


def icons_summary(path: Path) -> dict[str, Any]:
    """Counts, groups, licenses, quarantined icons with reasons, and a contact sheet of the icons table at `path`."""
    from flowmodel.data.manifest import license_table
    from flowmodel.files import read_parquet
    from flowmodel.images.notes import split_notes

    columns = ["id", "source", "group", "license", "redistributable", "origin", "status", "reason", "notes", "skin_tone"]
    icons = read_parquet(path, columns).to_pandas()
    usable = icons["status"] == "ok"
    by_group = icons.assign(ok=usable, with_tone=usable & (icons["skin_tone"] != "")).groupby(["source", "group"], sort=True)
    counts = by_group.agg(ok=("ok", "sum"), with_skin_tone=("with_tone", "sum"), all=("id", "size")).reset_index()
    counts["quarantined"] = counts["all"] - counts["ok"]
    quarantined = icons.loc[~usable, ["id", "reason"]]
    noted = icons.loc[usable, "notes"].map(split_notes).explode().dropna().str.replace(r"\d+ x \d+", "N x N", regex=True)
    return {
        **_contact_sheet(path),
        "dagster/row_count": len(icons),
        "quarantined": len(quarantined),
        "icons by group": _table(counts.drop(columns="all")),
        "licenses": _table(license_table(icons)),
        "quarantine": _table(quarantined.head(LISTED)) if len(quarantined) else dg.MetadataValue.md("nothing"),
        **({"notes": _table(noted.value_counts().rename("icons").reset_index())} if len(noted) else {}),
    }


def _contact_sheet(path: Path) -> dict[str, dg.MetadataValue]:
    """Evenly spaced icons of the table on light and dark backgrounds; the full image is next to the table."""
    from flowmodel.images.grid import contact_sheet

    shown = _Shown(path)
    images = []
    for icon_id in shown.ids[:: max(1, len(shown.ids) // CONTACT_SHEET)][:CONTACT_SHEET]:
        with suppress(ValueError):  # an icon that can't be decoded is quarantined when it is normalized
            images.append(shown[icon_id])
    if not images:
        return {"preview": dg.MetadataValue.md("no usable icon")}
    return image_metadata("preview", contact_sheet(images, columns=8, cell=48), path.with_suffix(".png"))


class _Shown:
    """The usable images of a table of icons, or of normalized icons, by id."""

    def __init__(self, path: Path) -> None:
        from flowmodel.files import read_parquet

        icons = read_parquet(path).to_pandas()
        self._rows = icons[icons["status"] == "ok"].set_index("id")
        self.ids = self._rows.index.tolist()

    def __getitem__(self, icon_id: str) -> "Image.Image":
        import numpy as np

        from flowmodel.images.decode import open_png
        from flowmodel.images.rgba import to_image

        row = self._rows.loc[icon_id]
        if "rgba" not in row:
            return open_png(row["png"])
        return to_image(np.frombuffer(row["rgba"], np.uint8).reshape(4, row["height"], row["width"]))

    def name(self, icon_id: str) -> str:
        return str(self._rows.at[icon_id, "name"])


def duplicates_summary(path: Path, normalized: Path) -> dict[str, Any]:
    """The numbers of links and clusters, and images of links, from the most to the least similar."""
    from flowmodel.files import read_parquet

    pairs = read_parquet(path).to_pandas()
    near = pairs[~pairs["identical"]].sort_values("pixel_distance", ignore_index=True)
    largest = pairs.groupby("cluster").size().sort_values(ascending=False).add(1).rename("icons").head(10).reset_index()
    return {
        **_pairs("similar", near.iloc[:: max(1, len(near) // SHOWN_PAIRS)].head(SHOWN_PAIRS), normalized, path),
        **_pairs("identical", pairs[pairs["identical"]].head(SHOWN_PAIRS), normalized, path),
        "dagster/row_count": len(pairs),
        "identical pairs": int(pairs["identical"].sum()),
        "similar pairs": len(near),
        "clusters": pairs["cluster"].nunique(),
        **({"largest clusters": _table(largest)} if len(largest) else {}),
    }


def _pairs(name: str, pairs: "pd.DataFrame", normalized: Path, path: Path) -> dict[str, dg.MetadataValue]:
    from flowmodel.images.grid import comparison_grid

    if pairs.empty:
        return {name: dg.MetadataValue.md("none")}
    shown = _Shown(normalized)
    images, labels = [], []
    for a, b, distance in pairs[["icon_a", "icon_b", "pixel_distance"]].itertuples(index=False):
        images.append((shown[a], shown[b]))
        labels.append(f"{distance:.3f} {shown.name(a)}")
    sheet = comparison_grid(images, columns=6, labels=labels, cell=64)
    return image_metadata(name, sheet, path.with_suffix(f".{name}.png"))


def splits_summary(path: Path, normalized: Path) -> dict[str, Any]:
    """Icons by split, and by split and group."""
    from flowmodel.files import read_parquet
    from flowmodel.tables import read_ok_icons

    splits = read_parquet(path).to_pandas()
    icons = read_ok_icons(normalized, ["id", "source", "group"]).merge(splits, left_on="id", right_on="icon_id")
    return {
        "dagster/row_count": len(splits),
        "icons by split": _table(splits["split"].value_counts().rename("icons").reset_index()),
        "by source": _table(_counted(icons, "source")),
        "by group": _table(_counted(icons, "group")),
    }


def unread_counts(readability: "Readability") -> dict[str, int]:
    """The number of texts that the caption encoder can't read, by problem."""
    return {
        "unknown to the encoder": len(readability.unknown),
        "partly unknown to the encoder": len(readability.partly),
        "truncated by the encoder": len(readability.cut),
        "not distinguished by the encoder": sum(map(len, readability.alike)),
    }


def _counted(icons: "pd.DataFrame", column: str) -> "pd.DataFrame":
    return icons.groupby([column, "split"]).size().unstack(fill_value=0).reset_index()


def _table(frame: "pd.DataFrame") -> dg.MetadataValue:
    return table(_records(frame))


def _records(frame: "pd.DataFrame") -> Sequence[dict[str, Any]]:
    return [{str(name): _plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> str | int | float:
    """Dagster's tables accept neither NumPy numbers nor Booleans."""
    value = value.item() if hasattr(value, "item") else value
    return ("yes" if value else "no") if isinstance(value, bool) else value
