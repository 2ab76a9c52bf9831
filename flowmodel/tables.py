"""The data contract: each table's columns with their Arrow type, meaning and constraints.

The Arrow schemas of the files, the pandera schemas of the values and the pipeline's checks are all derived from it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, read_parquet, write_parquet
from flowmodel.recipes.split import EXCLUDED, Split

if TYPE_CHECKING:
    import pandera.pandas as pandera

# `excluded`: looks like icons of different splits, and is in none.
SPLITS = (*(str(split) for split in Split), EXCLUDED)
# `unavailable`: temporarily quarantined for a reason other than the image; its source is read again next time.
STATUSES = ("ok", "quarantined", "unavailable")

Row = Mapping[str, Any] | tuple[Any, ...]  # by column name, or in column order

TEXT, TEXTS = pa.string(), pa.list_(pa.string())
# Pandera takes a quarter of a second to import, so it is imported only where values are checked.
Condition = Callable[["type[pandera.Check]"], "pandera.Check"]


def _not_empty(check: "type[pandera.Check]") -> "pandera.Check":
    return check.str_length(min_value=1)


def _sha256(check: "type[pandera.Check]") -> "pandera.Check":
    return check.str_matches(r"^[0-9a-f]{64}$")


def _icon_id(check: "type[pandera.Check]") -> "pandera.Check":
    """`source/hexcode`, or `source/slug` if there is no code point: letters and digits of any script."""
    return check.str_matches(r"^[a-z0-9_-]+/[^\s/\\#@%-][^\s/\\#@%]*$")


@dataclass(frozen=True)
class Column:
    """A column without missing values. `condition` constrains its values, for columns that are not lists."""

    type: pa.DataType
    description: str
    condition: Condition | None = None
    unique: bool = False

    @cached_property
    def check(self) -> "pandera.Check | None":
        """The condition as a check of pandera."""
        import pandera.pandas as pandera

        return self.condition(pandera.Check) if self.condition else None


@dataclass(frozen=True)
class Table:
    """A kind of Parquet file with its ordered columns."""

    name: str
    columns: Mapping[str, Column]

    @cached_property
    def arrow(self) -> pa.Schema:
        """The Arrow schema of the files."""
        return pa.schema([(name, column.type) for name, column in self.columns.items()])

    @cached_property
    def values(self) -> "pandera.DataFrameSchema":
        """The pandera schema of columns with a check or unique values. Arrow checks the types."""
        import pandera.pandas as pandera

        checked = {name: column for name, column in self.columns.items() if column.condition or column.unique}
        return pandera.DataFrameSchema(
            {name: pandera.Column(checks=column.check, unique=column.unique) for name, column in checked.items()}, name=self.name
        )

    def check(self, table: pa.Table, where: Path | str) -> pa.Table:
        """Return `table` unchanged if it satisfies the contract.

        Raises FlowmodelError that names `where`, the column and the first invalid value.
        """
        if table.column_names != self.arrow.names:
            differ = sorted(set(self.columns) ^ set(table.column_names))
            what = f"missing or unknown: {', '.join(differ)}" if differ else f"the order is {', '.join(self.columns)}"
            raise FlowmodelError(f"{where}: table '{self.name}' breaks the contract ({what})")
        try:
            table.validate(full=True)  # a damaged file may have texts that are none
        except pa.ArrowInvalid as error:
            raise FlowmodelError(f"{where}: table '{self.name}' is damaged ({str(error).splitlines()[0][:200]})") from None
        for field, column in zip(table.schema, table.itercolumns(), strict=True):
            if field.type != self.columns[field.name].type:
                self._fail(where, field.name, f"is {field.type}, not {self.columns[field.name].type}")
            if column.null_count:
                self._fail(where, field.name, f"{column.null_count} values are missing")
        from pandera.errors import SchemaError

        try:
            self.values.validate(table.select(list(self.values.columns)).to_pandas())
        except SchemaError as error:
            first = str(error.failure_cases["failure_case"].iloc[0])[:80]
            what = getattr(error.check, "error", None) or error.check
            self._fail(where, error.schema.name, f"{what}, first offending value: {first!r}")
        return table

    def build(self, rows: pd.DataFrame | Sequence[Row], where: Path | str) -> pa.Table:
        """Build the Arrow table from a frame or rows, with columns in any order. Raises FlowmodelError as :meth:`check` does."""
        if not isinstance(rows, pd.DataFrame):
            rows = pd.DataFrame(list(rows), columns=None if rows and isinstance(rows[0], Mapping) else list(self.columns))
        if unknown := [str(name) for name in rows.columns if name not in self.columns]:
            raise FlowmodelError(f"{where}: table '{self.name}' breaks the contract (unknown: {', '.join(unknown)})")
        try:
            table = pa.Table.from_pandas(rows, preserve_index=False, schema=self.arrow)
        except (pa.ArrowInvalid, pa.ArrowTypeError, KeyError) as error:
            raise FlowmodelError(f"{where}: table '{self.name}' breaks the contract ({' '.join(map(str, error.args))})") from None
        return self.check(table, where)

    def read(self, path: Path) -> pd.DataFrame:
        """Read the table at `path`; raises FlowmodelError when it is missing, unreadable or breaks the contract."""
        return self.check(read_parquet(path, self.arrow.names), where=path).to_pandas()

    def write(
        self,
        path: Path,
        rows: pd.DataFrame | Sequence[Row],
        metadata: Mapping[str, str] | None = None,
    ) -> Artifact:
        """Build a table from `rows` and write it to `path`; raises FlowmodelError when it breaks the contract."""
        return Artifact.of(write_parquet(path, self.build(rows, where=path), metadata))

    def _fail(self, where: Path | str, column: str, what: str) -> None:
        raise FlowmodelError(f"{where}: table '{self.name}', column '{column}' breaks the contract ({what})")


ICONS = Table(
    "icons",
    {
        "id": Column(TEXT, "source/key", _icon_id, unique=True),
        "source": Column(TEXT, "its entry's name in sources.yaml"),
        "key": Column(TEXT, "hexcode or slug"),
        "char": Column(TEXT, "the emoji itself; empty where there is no code point"),
        "name": Column(TEXT, "what it shows", _not_empty),
        "keywords": Column(TEXTS, "more words for what it shows"),
        "captions": Column(TEXTS, "texts that the source itself gives, used as they are"),
        "group": Column(TEXT, "Unicode's group; empty where there is none"),
        "subgroup": Column(TEXT, "Unicode's subgroup; empty where there is none"),
        "base_key": Column(TEXT, "key without skin tone: the concept"),
        "skin_tone": Column(TEXT, "light … dark; empty for none"),
        "png": Column(pa.binary(), "the image; empty when quarantined"),
        "width": Column(pa.int64(), "pixels", lambda check: check.ge(0)),
        "height": Column(pa.int64(), "pixels", lambda check: check.ge(0)),
        "sha256": Column(TEXT, "of png", _sha256),
        "license": Column(TEXT, "of the image, as an SPDX identifier where there is one"),
        "redistributable": Column(pa.bool_(), "whether the image may be redistributed"),
        "origin": Column(TEXT, "where the image comes from"),
        "status": Column(
            TEXT, "ok, quarantined, or unavailable: quarantined until the next time", lambda check: check.isin(STATUSES)
        ),
        "reason": Column(TEXT, "why quarantined; empty when ok"),
        "notes": Column(TEXT, "how the image was changed, for people"),
    },
)

# Images of one size as pixels, as a training reads them.
NORMALIZED_ICONS = Table(
    "normalized_icons",
    {
        **{name: column for name, column in ICONS.columns.items() if name not in ("png", "sha256")},
        "rgba": Column(pa.large_binary(), "premultiplied pixels, uint8, 4 x height x width; empty when quarantined"),
        "sha256": Column(TEXT, "of rgba", _sha256),
    },
)

CAPTIONS = Table(
    "captions",
    {
        "caption_id": Column(TEXT, "icon_id#template, and @language where it is not English, or the color", unique=True),
        "icon_id": Column(TEXT, "the icon that it describes", _icon_id),
        "text": Column(TEXT, "the caption", _not_empty),
        "template": Column(TEXT, "name, name_keywords, name_group, name_tone, name_style, mixed, own or color"),
        "language": Column(TEXT, "en, de, …; und for own texts", lambda check: check.str_matches(r"^[a-z]{2,3}(-[a-z]+)?$")),
    },
)

# Not all pairs, but enough links to connect each cluster.
DUPLICATES = Table(
    "duplicates",
    {
        "icon_a": Column(TEXT, "the smaller of the two ids", _icon_id),
        "icon_b": Column(TEXT, "the greater of the two ids", _icon_id),
        "cluster": Column(TEXT, "smallest id of all that are linked, directly or through others", _icon_id),
        "identical": Column(pa.bool_(), "the same pixels"),
        "hash_distance": Column(pa.int64(), "bits that differ between the perceptual hashes", lambda check: check.ge(0)),
        "pixel_distance": Column(pa.float64(), "root mean square of shapes and colors", lambda check: check.in_range(0, 1)),
    },
)

SPLIT_TABLE = Table(
    "splits",
    {
        "icon_id": Column(TEXT, "an icon that is not quarantined", _icon_id, unique=True),
        "split": Column(TEXT, "what it is used for", lambda check: check.isin(SPLITS)),
    },
)

EMOJI_TEXTS = Table(
    "emojibase",
    {
        "language": Column(TEXT, "en, de, …"),
        "key": Column(TEXT, "hexcode"),
        "char": Column(TEXT, "the emoji itself", _not_empty),
        "name": Column(TEXT, "CLDR's short name", _not_empty),
        "keywords": Column(TEXTS, "CLDR's keywords"),
        "group": Column(TEXT, "Unicode's group"),
        "subgroup": Column(TEXT, "Unicode's subgroup"),
        "order": Column(pa.int32(), "place in Unicode's own order"),
    },
)


CAPTION_EMBEDDINGS = Table(
    "caption_embeddings",
    {
        "text": Column(TEXT, "of one or more captions", unique=True),
        "part": Column(TEXT, "file of caption_vectors, without its extension, that holds the text's vectors", _not_empty),
    },
)


def caption_vectors(width: int) -> Table:
    """The table of texts and their vectors of width `width`."""
    return Table(
        "caption_vectors",
        {
            "text": Column(TEXT, "what was encoded", unique=True),
            "pooled": Column(pa.list_(pa.float32(), width), "of the whole text, L2-normalized"),
            "tokens": Column(pa.list_(pa.list_(pa.float16(), width)), "one vector per token"),
        },
    )


def read_ok_icons(path: Path, columns: list[str]) -> pd.DataFrame:
    """`columns` of the usable icons or normalized icons at `path`, in file order."""
    icons = read_parquet(path, list(dict.fromkeys([*columns, "status"]))).to_pandas()
    return icons.loc[icons["status"] == "ok", columns].reset_index(drop=True)
