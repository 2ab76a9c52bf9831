from flowmodel.icons.manifest import icon_manifest, licence_table
from flowmodel.icons.splits import load_splits
from tests.conftest import Prepared


def test_every_icon_is_listed_with_its_terms_and_split(prepared: Prepared) -> None:
    manifest = icon_manifest(prepared.inputs.normalised.path, prepared.inputs.splits.path)
    assert dict(zip(manifest["id"], manifest["split"], strict=True)) == load_splits(prepared.inputs.splits.path)
    assert set(manifest["licence"]) == {"Apache-2.0"} and manifest["redistributable"].all()

    some = icon_manifest(prepared.inputs.normalised.path, prepared.inputs.splits.path, ["noto/2764", "noto/nowhere"])
    assert some["name"].tolist() == ["red heart"]


def test_licences_are_counted_by_source(prepared: Prepared) -> None:
    (row,) = licence_table(icon_manifest(prepared.inputs.normalised.path, prepared.inputs.splits.path)).to_dict("records")
    assert (row["source"], row["origin"], row["icons"]) == ("noto", "emoji-datasource-google 16.0.0", 1911)
