"""Messages while icons are prepared, and if none is left."""

from pathlib import Path

import pytest

from flowmodel.data.prepare import prepare
from flowmodel.errors import FlowmodelError
from flowmodel.images.rgba import encode_png
from flowmodel.model.device import DevicePolicy
from flowmodel.recipes import Recipe, load_recipe
from flowmodel.store import Store
from flowmodel.training.icon_set import load_training_set
from tests.data.helpers import BLUE, GREEN, RED, plain, write_folder


def recipe(*changes: str) -> Recipe:
    return load_recipe("from_scratch", ["data.size=16", "data.selection=null", *changes])


def sources(tmp_path: Path, captions: str) -> Path:
    files = {name: encode_png(plain(color)) for name, color in (("a.png", RED), ("b.png", GREEN), ("c.png", BLUE))}
    write_folder(tmp_path / "icons", "file,name\n" + captions, files | {"broken.png": b"hello"})
    (tmp_path / "sources.yaml").write_text("sources: [{name: mine, kind: folder, path: icons}]")
    return tmp_path / "sources.yaml"


def test_what_is_set_aside_and_held_out_is_reported(tmp_path: Path) -> None:
    log: list[str] = []
    listed = sources(tmp_path, "a.png,kite\nb.png,drum\nc.png,ดาว\nbroken.png,x\ngone.png,y\nlost.png,z\n")
    dataset = prepare(recipe("data.split.unseen_concept=0"), Store(tmp_path / "store"), listed, log.append)
    start = log.index("3 of 6 icons are usable, 3 are quarantined:")
    assert log[start + 1 : start + 3] == ["  2 x no such file (mine/gone, mine/lost)", "  1 x not a PNG image (mine/broken)"]
    assert any("consist of unknown tokens" in line and "ดาว" in line for line in log)
    trained = len(dataset.ids_of_split("train"))
    assert any(line.startswith(f"{trained} of 3 icons are used for training") for line in log)


def test_without_a_usable_icon_the_reasons_are_named(tmp_path: Path) -> None:
    listed = sources(tmp_path, "broken.png,x\ngone.png,y\nlost.png,z\n")
    with pytest.raises(FlowmodelError, match=r"no usable icon: 2 x no such file \(mine/gone\); 1 x not a PNG image"):
        prepare(recipe(), Store(tmp_path / "store"), listed)


def test_where_everything_is_held_out_it_says_so_and_what_to_set(tmp_path: Path) -> None:
    listed = sources(tmp_path, "a.png,kite\nb.png,drum\n")
    chosen = recipe("data.split.unseen_concept=0.495", "data.split.validation=0.495")
    dataset = prepare(chosen, Store(tmp_path / "store"), listed)
    with pytest.raises(FlowmodelError, match=r"the split holds out all of them \(.*\); add icons, or set data\.split"):
        load_training_set(dataset, chosen.data, DevicePolicy.choose("cpu"))


def test_a_selection_that_names_none_is_named(tmp_path: Path) -> None:
    listed = sources(tmp_path, "a.png,kite\nb.png,drum\n")
    chosen = recipe("data.split.unseen_concept=0", "data.split.validation=0")
    dataset = prepare(chosen, Store(tmp_path / "store"), listed)
    selected = chosen.data.model_copy(update={"selection": "well_known"})
    with pytest.raises(FlowmodelError, match=r"data\.selection 'well_known' names none of the 2 icons"):
        load_training_set(dataset, selected, DevicePolicy.choose("cpu"))
