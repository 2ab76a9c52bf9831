"""Origins and licenses of icons."""

from flowmodel.data.manifest import icon_terms, license_table
from flowmodel.data.terms import UNKNOWN, Terms
from tests.conftest import Prepared


def test_every_icon_is_listed_with_its_terms_and_split(prepared: Prepared) -> None:
    manifest = prepared.dataset.manifest()
    assert dict(zip(manifest["id"], manifest["split"], strict=True)) == prepared.dataset.splits
    assert set(manifest["license"]) == {"Apache-2.0"} and manifest["redistributable"].all()

    some = prepared.dataset.manifest(["noto/2764", "noto/nowhere"])
    assert some["name"].tolist() == ["red heart"]


def test_licenses_are_counted_by_source(prepared: Prepared) -> None:
    (row,) = license_table(prepared.dataset.manifest()).to_dict("records")
    assert (row["source"], row["origin"], row["icons"]) == ("noto", "emoji-datasource-google 16.0.0", 1911)


def test_terms_that_no_icon_of_the_set_has_are_listed_without_icons(prepared: Prepared) -> None:
    manifest = prepared.dataset.manifest()
    (own,) = icon_terms(manifest)
    assert own == Terms("noto", "Apache-2.0", True, "emoji-datasource-google 16.0.0")
    table = license_table(manifest, [own, UNKNOWN])
    assert table[["source", "icons"]].to_numpy().tolist() == [["noto", 1911], ["unknown", 0]]
