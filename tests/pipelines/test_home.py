"""The handling of own and foreign values of DAGSTER_HOME."""

import os

import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.registry.tracking import Tracking
from flowmodel.store import PROJECT_ROOT, Store
from pipelines.home import SETTINGS, prepare_home

OURS = (PROJECT_ROOT / SETTINGS).read_text()


@pytest.fixture(autouse=True)
def _no_home(monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")  # so that the one that prepare_home sets is taken back
    monkeypatch.delenv("DAGSTER_HOME")


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """The home of another project."""
    home = tmp_path / "theirs"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return home


def test_without_a_home_the_store_has_one_with_the_project_s_settings(tmp_path, capsys):
    home = prepare_home(Store(tmp_path / "store"))
    assert home == tmp_path / "store" / "dagster" and os.environ["DAGSTER_HOME"] == str(home)
    (home / SETTINGS).write_text("nux: {enabled: true}\n")  # of an earlier release
    prepare_home(Store(tmp_path / "store"))
    assert (home / SETTINGS).read_text() == OURS and capsys.readouterr().out == ""


@pytest.mark.parametrize("settings", [None, "telemetry: {enabled: false}\n", "run_retries:\n  enabled: false\n"])
def test_somebody_else_s_home_keeps_its_settings_and_what_they_lack_is_stated_in_one_line(theirs, tmp_path, capsys, settings):
    (theirs / "notes.txt").write_text("mine")
    if settings:
        (theirs / SETTINGS).write_text(settings)
    prepare_home(Store(tmp_path / "store"))
    assert ((theirs / SETTINGS).read_text() if settings else (theirs / SETTINGS).exists() or None) == settings
    (said,) = capsys.readouterr().out.splitlines()
    assert f"{theirs} is not this project's own" in said and "concurrency.pools.default_limit" in said
    assert ("run_retries.enabled" in said) == ("run_retries" not in (settings or ""))


def test_a_home_of_another_project_that_lacks_nothing_is_used_in_silence(theirs, tmp_path, capsys):
    (theirs / SETTINGS).write_text(OURS.replace("default_limit: 1", "default_limit: 3"))
    prepare_home(Store(tmp_path / "store"))
    assert "default_limit: 3" in (theirs / SETTINGS).read_text() and capsys.readouterr().out == ""


@pytest.mark.parametrize("exists", [True, False])
def test_a_new_home_gets_the_project_s_settings(theirs, tmp_path, exists):
    if not exists:
        theirs.rmdir()
    prepare_home(Store(tmp_path / "store"))
    assert (theirs / SETTINGS).read_text() == OURS


@pytest.mark.parametrize(("settings", "says"), [("a: [", "not valid YAML"), ("- a\n", "not a mapping")])
def test_settings_that_cannot_be_read_give_one_line(theirs, tmp_path, settings, says):
    (theirs / SETTINGS).write_text(settings)
    with pytest.raises(FlowmodelError, match=says) as caught:
        prepare_home(Store(tmp_path / "store"))
    assert "\n" not in str(caught.value) and str(theirs / SETTINGS) in str(caught.value)


def test_a_home_that_is_not_absolute_gives_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "somewhere")
    with pytest.raises(FlowmodelError, match="DAGSTER_HOME: 'somewhere' is not an absolute path"):
        prepare_home(Store(tmp_path))


@pytest.mark.parametrize("name", ["a%20b", "a?b=c"])
def test_a_folder_that_a_database_s_address_cannot_name_gives_one_line_and_nothing_is_written(tmp_path, name):
    """SQLAlchemy would write into `a b`, or into `a`."""
    store = Store(tmp_path / name / "store")
    with pytest.raises(FlowmodelError, match="which the addresses of databases can't hold; rename that folder") as caught:
        prepare_home(store)
    assert str(caught.value).startswith(f"{store.root / 'dagster'}: its path has '{name[1]}' in it")
    with pytest.raises(FlowmodelError, match="can't hold") as caught:
        _ = Tracking.of(store).experiment_id
    assert f"sqlite:///{store.root}" in str(caught.value) and list(tmp_path.iterdir()) == []
