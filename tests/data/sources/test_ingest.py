import os
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import Image

from flowmodel.data.sources import folder, ingest
from flowmodel.data.sources.config import BundledSource, FolderSource
from flowmodel.data.sources.context import SourceContext
from flowmodel.data.sources.ingest import (
    ingest_icons,
    is_current,
    observe_source,
    observe_sources,
    read_icons,
    source_fingerprint,
)
from flowmodel.errors import FlowmodelError
from flowmodel.files import write_bytes
from flowmodel.images.decode import decode_png
from flowmodel.images.rgba import encode_png
from flowmodel.images.svg import render
from flowmodel.tables import ICONS
from tests.data.helpers import BLUE, RED, icon_row, plain, write_folder, write_icons
from tests.images.svg.drawing import crashing, svg_of

BUNDLED = BundledSource(name="mine", kind="bundled", path="set.parquet")
FOLDER = FolderSource(name="mine", kind="folder", path="icons")


@pytest.fixture
def context(tmp_path: Path) -> SourceContext:
    return SourceContext(tmp_path, tmp_path / "downloads")


def test_bundled_takes_the_configured_name_and_terms(context: SourceContext) -> None:
    write_icons(context.root / "set.parquet", [icon_row("b", license="MIT", origin="web"), icon_row("a", license="MIT")])
    config = BUNDLED.model_copy(update={"origin": "me", "redistributable": False})
    rows = {row["id"]: row for row in read_icons(config, context).rows}
    assert rows.keys() == {"mine/a", "mine/b"}
    assert {row["source"] for row in rows.values()} == {"mine"}
    assert {row["license"] for row in rows.values()} == {"MIT"}, "what the file says stays where the entry says nothing"
    assert {(row["origin"], row["redistributable"]) for row in rows.values()} == {("me", False)}


def test_ingest_is_sorted_repeatable_and_readable(context: SourceContext) -> None:
    write_icons(context.root / "set.parquet", [icon_row("b"), icon_row("a")])
    first, second = (ingest_icons(BUNDLED, context, context.root / name) for name in ("1", "2"))
    assert first.artifact.digest == second.artifact.digest
    assert ICONS.read(first.artifact.path)["key"].tolist() == ["a", "b"]


def test_what_has_not_changed_is_not_read_again(context: SourceContext) -> None:
    out = context.root / "out"
    place = write_folder(context.root / "icons", "file,name,keywords\na.png,a,\n", {"a.png": encode_png(plain())})
    first = ingest_icons(FOLDER, context, out)
    again = ingest_icons(FOLDER, context, out)
    assert (first.unchanged, again.unchanged) == (False, True)
    assert first.artifact == again.artifact

    os.utime(place / "a.png", ns=(1, 1))  # touched, but the same
    assert ingest_icons(FOLDER, context, out).unchanged
    forced = ingest_icons(FOLDER, context, out, again=True)
    assert not forced.unchanged and forced.artifact == first.artifact

    first.artifact.path.write_bytes(b"x")
    assert not is_current(FOLDER, observe_source(FOLDER, context), out)
    assert ingest_icons(FOLDER, context, out).artifact == first.artifact


@pytest.mark.parametrize("config", [BUNDLED, FOLDER], ids=lambda config: config.kind)
def test_a_missing_source_gives_one_clear_line_and_leaves_the_old_table(config, context: SourceContext) -> None:
    out = context.root / "out"
    old = write_bytes(out / "old.parquet", b"old")
    for act in (read_icons, observe_source, lambda *args: ingest_icons(*args, out)):
        with pytest.raises(FlowmodelError, match=r"(set\.parquet|icons): no such (file|folder); correct its path"):
            act(config, context)
    assert list(out.iterdir()) == [old]


def test_entries_of_the_same_name_in_two_lists_coexist(context: SourceContext) -> None:
    out = context.root / "out"
    for name, color in (("red", RED), ("blue", BLUE)):
        write_folder(context.root / name, "file,name,keywords\na.png,a,\n", {"a.png": encode_png(plain(color))})
    red, blue = (FOLDER.model_copy(update={"path": name}) for name in ("red", "blue"))
    before = ingest_icons(red, context, out).artifact
    assert ingest_icons(blue, context, out).artifact.digest != before.digest
    again = ingest_icons(red, context, out)
    assert again.unchanged and again.artifact == before and is_current(blue, observe_source(blue, context), out)


def test_a_bundled_file_that_breaks_the_contract_is_refused(context: SourceContext) -> None:
    (context.root / "set.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(FlowmodelError, match="not a readable Parquet file"):
        read_icons(BUNDLED, context)


def test_the_fingerprint_follows_settings_and_files(context: SourceContext) -> None:
    def fingerprint(config: FolderSource = FOLDER) -> str:
        return source_fingerprint(config, observe_source(config, context))

    write_folder(context.root / "icons", "file,name,keywords\na.png,a,\n", {"a.png": encode_png(plain())})
    before = fingerprint()
    assert fingerprint() == before
    assert fingerprint(FOLDER.model_copy(update={"style": "flat"})) != before
    (context.root / "icons" / "a.png").write_bytes(encode_png(plain(height=9)))
    changed = fingerprint()
    assert changed != before
    (context.root / "icons" / "captions.csv").write_text("file,name,keywords\na.png,a red square,\n")
    assert fingerprint() != changed


def test_many_sources_are_observed_at_once_and_none_waits_for_one_that_hangs(
    context: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_icons(context.root / "set.parquet", [icon_row("a")])
    released = threading.Event()
    monkeypatch.setattr(folder, "observe", lambda config, context: released.wait(60))  # a network drive that is gone
    absent = BundledSource(name="absent", kind="bundled", path="absent.parquet")
    started = time.monotonic()
    found = observe_sources([FOLDER.model_copy(update={"name": "slow"}), BUNDLED, absent], context, seconds=3)
    released.set()
    assert time.monotonic() - started < 50
    assert found["mine"] == observe_source(BUNDLED, context)
    assert str(found["slow"]) == "source 'slow': not checked within 3 s"
    assert isinstance(found["absent"], FlowmodelError) and "absent.parquet: no such file" in str(found["absent"])


def test_an_edit_of_the_same_size_and_time_is_read(context: SourceContext) -> None:
    place = write_folder(context.root / "icons", "file,name\na.bmp,a\n", {"a.bmp": b""})
    for color in (RED, BLUE):
        Image.fromarray(plain(color)).convert("RGB").save(place / "a.bmp")
        os.utime(place / "a.bmp", ns=(1, 1))
        ingested = ingest_icons(FOLDER, context, context.root / "out")
        assert not ingested.unchanged
        (png,) = ICONS.read(ingested.artifact.path)["png"]
        assert tuple(decode_png(png)[0, 0]) == color


def test_repaired_links_and_permissions_are_noticed(context: SourceContext, as_another_user) -> None:
    out = context.root / "out"
    place = write_folder(context.root / "icons", "file,name\na.png,a\nb.png,b\n", {"b.png": encode_png(plain())})
    (place / "a.png").symlink_to("later.png")
    (place / "b.png").chmod(0)
    out.mkdir(mode=0o777)
    out.chmod(0o777)

    def reasons() -> list[str]:
        with as_another_user():
            return ICONS.read(ingest_icons(FOLDER, context, out).artifact.path)["reason"].tolist()

    assert reasons() == ["a.png: is a broken link", "b.png: can't be read (Permission denied)"]
    with as_another_user():
        again = ingest_icons(FOLDER, context, out)
    assert ICONS.read(again.artifact.path)["status"].tolist() == ["quarantined", "unavailable"]
    assert not again.unchanged and not again.complete, "what may be cured is looked at each time"
    (place / "later.png").write_bytes(encode_png(plain()))
    (place / "b.png").chmod(0o644)
    assert reasons() == ["", ""]
    with as_another_user():
        assert ingest_icons(FOLDER, context, out).unchanged


@pytest.mark.skipif(sys.platform != "linux", reason="only there is the renderer's memory limited")
def test_a_drawing_that_always_crashes_is_retried_with_another_renderer_only(
    context: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = context.root / "out"
    write_folder(context.root / "icons", "file,name\na.svg,a\nb.png,b\n", {"a.svg": crashing(), "b.png": encode_png(plain())})
    first = ingest_icons(FOLDER, context, out)
    icons = ICONS.read(first.artifact.path)
    assert icons["status"].tolist() == ["quarantined", "ok"] and "crashes the renderer" in icons["reason"][0]
    assert first.complete and ingest_icons(FOLDER, context, out).unchanged
    monkeypatch.setattr(ingest, "version", lambda package: f"after {version(package)}")
    assert not ingest_icons(FOLDER, context, out).unchanged


def test_a_drawing_for_which_the_machine_was_too_busy_is_retried(context: SourceContext, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(context.root / "icons", "file,name\na.svg,a\n", {"a.svg": svg_of('<rect width="9" height="9"/>')})
    monkeypatch.setattr(render, "BUSY", 0)
    busy = ingest_icons(FOLDER, context, context.root / "out")
    assert ICONS.read(busy.artifact.path)["status"].tolist() == ["unavailable"] and not busy.complete
    monkeypatch.undo()
    later = ingest_icons(FOLDER, context, context.root / "out")
    assert later.complete and ICONS.read(later.artifact.path)["status"].tolist() == ["ok"]
