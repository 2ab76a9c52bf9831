"""The data contract: one pandera schema a Parquet table (docs/architecture.md shows them side by side)."""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from flowmodel.errors import FlowmodelError

# `excluded`: looks like icons on both sides of a border, and is used on neither.
SPLITS = ("train", "validation", "unseen_concept", "unseen_style", "unseen_tone", "excluded")
STATUSES = ("ok", "quarantined")

_SHA256 = pa.Check.str_matches(r"^[0-9a-f]{64}$")
_LIST = pa.Check(lambda value: not isinstance(value, str) and hasattr(value, "__len__"), element_wise=True, error="a list")

# `source/hexcode`, or `source/slug` where there is no code point.
_ICON_ID = pa.Check.str_matches(r"^[a-z0-9_-]+/[a-z0-9][a-z0-9_-]*$")

ICONS = pa.DataFrameSchema(
    {
        "id": pa.Column(str, _ICON_ID, unique=True),
        "source": pa.Column(str),
        "key": pa.Column(str, description="hexcode or slug"),
        "char": pa.Column(str, description="the emoji itself; empty where there is no code point"),
        "name": pa.Column(str, pa.Check.str_length(min_value=1)),
        "keywords": pa.Column(object, _LIST),
        "captions": pa.Column(object, _LIST, description="texts that the source itself gives, used as they are"),
        "group": pa.Column(str),
        "subgroup": pa.Column(str),
        "base_key": pa.Column(str, description="key without skin tone: the concept"),
        "skin_tone": pa.Column(str, description="light … dark; empty for none"),
        "png": pa.Column(object, pa.Check(lambda b: isinstance(b, bytes), element_wise=True, error="bytes")),
        "width": pa.Column(int, pa.Check.ge(0)),
        "height": pa.Column(int, pa.Check.ge(0)),
        "sha256": pa.Column(str, _SHA256, description="of png; in normalized_icons of the premultiplied pixels"),
        "licence": pa.Column(str),
        "redistributable": pa.Column(bool, description="whether the picture may be passed on"),
        "origin": pa.Column(str),
        "status": pa.Column(str, pa.Check.isin(STATUSES)),
        "reason": pa.Column(str, description="why quarantined; empty when ok"),
        "notes": pa.Column(str, description="what was done to the picture that a person may want to know"),
    },
    name="icons",
    strict=True,
    ordered=True,
)

CAPTIONS = pa.DataFrameSchema(
    {
        "caption_id": pa.Column(str, unique=True, description="icon_id#template, and @language where it is not English"),
        "icon_id": pa.Column(str, _ICON_ID),
        "text": pa.Column(str, pa.Check.str_length(min_value=1)),
        "template": pa.Column(str),
        "language": pa.Column(str, pa.Check.str_matches(r"^[a-z]{2,3}(-[a-z]+)?$"), description="en, de, …; und for own texts"),
    },
    name="captions",
    strict=True,
    ordered=True,
)

CAPTION_EMBEDDINGS = pa.DataFrameSchema(
    {
        "caption_id": pa.Column(str, unique=True),
        "text": pa.Column(str),
        "pooled": pa.Column(object, _LIST, description="float32, length = dimension"),
        "tokens": pa.Column(object, _LIST, description="ragged list of float16 vectors of length = dimension"),
    },
    name="caption_embeddings",
    strict=True,
    ordered=True,
)

DUPLICATES = pa.DataFrameSchema(
    {
        "icon_a": pa.Column(str, _ICON_ID),
        "icon_b": pa.Column(str, _ICON_ID, description="the greater of the two ids"),
        "cluster": pa.Column(str, _ICON_ID, description="smallest id of all that are linked, directly or through others"),
        "identical": pa.Column(bool, description="the same pixels"),
        "hash_distance": pa.Column(int, pa.Check.ge(0), description="bits that differ between the perceptual hashes"),
        "pixel_distance": pa.Column(float, pa.Check.in_range(0, 1), description="root mean square, premultiplied RGBA"),
    },
    name="duplicates",
    strict=True,
    ordered=True,
)

SPLIT_TABLE = pa.DataFrameSchema(
    {
        "icon_id": pa.Column(str, _ICON_ID, unique=True),
        "split": pa.Column(str, pa.Check.isin(SPLITS)),
    },
    name="splits",
    strict=True,
    ordered=True,
)


def validate(schema: pa.DataFrameSchema, frame: pd.DataFrame, where: Path | str) -> pd.DataFrame:
    """Return `frame` unchanged if it keeps the contract.

    Raises FlowmodelError that names `where`, the column and the first offending value.
    """
    try:
        return schema.validate(frame)
    except pa.errors.SchemaError as error:
        cases = error.failure_cases
        first = (
            f", first offending value: {str(cases.iloc[0]['failure_case'])[:80]!r}"
            if isinstance(cases, pd.DataFrame) and len(cases)
            else ""
        )
        column = getattr(error.schema, "name", None) or schema.name
        what = getattr(error.check, "error", None) or str(error.check or error).splitlines()[0]
        raise FlowmodelError(f"{where}: table '{schema.name}', column '{column}' breaks the contract ({what}{first})") from None
