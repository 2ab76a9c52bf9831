from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmodel.errors import FlowmodelError
from flowmodel.icons.splits import assign_splits, group_concepts, load_splits
from flowmodel.recipes.schema import SplitConfig
from tests.icons.helpers import icon_row, write_icons

KEYS = [f"icon-{i}" for i in range(400)]
CONFIG = SplitConfig(seed=0, validation=0.1, unseen_concept=0.2)


def split(tmp_path: Path, rows: list[dict], config: SplitConfig = CONFIG) -> dict[str, str]:
    return load_splits(assign_splits(write_icons(tmp_path / "n.parquet", rows), config, tmp_path / "s.parquet").path)


def test_shares_are_about_as_configured(tmp_path: Path) -> None:
    counts = Counter(split(tmp_path, [icon_row(key) for key in KEYS]).values())
    assert 50 <= counts["unseen_concept"] <= 110
    assert 20 <= counts["validation"] <= 60
    assert sum(counts.values()) == 400


def test_icons_added_later_move_none(tmp_path: Path) -> None:
    before = split(tmp_path, [icon_row(key) for key in KEYS[:200]])
    after = split(tmp_path, [icon_row(key) for key in KEYS] + [icon_row(key, source="other") for key in KEYS])
    assert before.items() <= after.items()


def test_another_seed_holds_out_others_and_a_larger_share_keeps_those_held_out(tmp_path: Path) -> None:
    rows = [icon_row(key) for key in KEYS]
    base = split(tmp_path, rows)
    assert split(tmp_path, rows, CONFIG.model_copy(update={"seed": 1})) != base
    wider = split(tmp_path, rows, CONFIG.model_copy(update={"unseen_concept": 0.3}))
    for name in ("unseen_concept", "validation"):
        assert all(wider[icon] == name for icon, was in base.items() if was == name)


def test_a_concept_stays_together_over_sources_tones_and_identical_pictures(tmp_path: Path) -> None:
    tones = ["", "-1f3fb", "-1f3ff"]
    hands = [f"1f4{i:02x}" for i in range(60)]
    rows = [icon_row(f"{hand}{tone}", source=source) for hand in hands for tone in tones for source in ("one", "two")]
    rows += [icon_row(f"copy-{i}", png=rows[6 * i]["png"]) for i in range(60)]
    splits = split(tmp_path, rows)
    for i, hand in enumerate(hands):
        members = [f"{source}/{hand}{tone}" for source in ("one", "two") for tone in tones] + [f"test/copy-{i}"]
        assert len({splits[member] for member in members}) == 1
    assert len(set(splits.values())) == 3


def test_quarantined_icons_have_no_split(tmp_path: Path) -> None:
    assert split(tmp_path, [icon_row("a"), icon_row("q", status="quarantined", reason="x")]).keys() == {"test/a"}


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("123456")), max_size=12), st.randoms())
def test_groups_are_the_connected_components_in_any_order(icons: list[tuple[str, str]], random: object) -> None:
    groups = group_concepts([key for key, _ in icons], [digest for _, digest in icons])
    component = {icon: icon[0] for icon in icons}  # brute force: spread the smallest key until nothing changes
    while True:
        spread = {one: min(component[other] for other in icons if other[0] == one[0] or other[1] == one[1]) for one in icons}
        if spread == component:
            break
        component = spread
    assert groups == [component[icon] for icon in icons]
    shuffled = icons.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = group_concepts([key for key, _ in shuffled], [digest for _, digest in shuffled])
    assert dict(zip(shuffled, again, strict=True)) == dict(zip(icons, groups, strict=True))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(FlowmodelError, match=r"nowhere\.parquet: no such file"):
        load_splits(tmp_path / "nowhere.parquet")
