"""The `ingest` job with three sources of which one fails, and the sensor that observes sources."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import dagster as dg
import pytest
import yaml

from flowmodel.data.sources import bundled
from flowmodel.store import PROJECT_ROOT
from pipelines.definitions import defs
from pipelines.defs.ingest import sensors
from pipelines.outbox import Outbox
from pipelines.resources import StoreResource
from tests.data.helpers import icon_row, write_icons
from tests.pipelines.conftest import ICONS, failure_line, metadata
from tests.pipelines.conftest import write_icons as write_folder_source


@pytest.fixture
def three_sources(project):
    """`mine` and `other` are folders; `absent` is a file that does not exist yet."""
    write_folder_source(project.root / "other", count=10)
    entries = [
        {"name": "mine", "kind": "folder", "path": str(project.icons), "license": "CC0-1.0"},
        {"name": "absent", "kind": "bundled", "path": str(project.root / "absent.parquet")},
        {"name": "other", "kind": "folder", "path": str(project.root / "other"), "license": "MIT", "redistributable": False},
    ]
    (project.root / "sources.yaml").write_text(yaml.safe_dump({"sources": entries}))
    return project


def _made(result: dg.ExecuteInProcessResult) -> set[str]:
    return {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}


def test_one_failing_source_stops_no_other_and_says_why_and_a_second_run_reads_only_what_is_missing(three_sources):
    first = three_sources.run("ingest")
    assert not first.success
    assert _made(first) == {"icons/mine", "icons/other"}
    line = failure_line(first, "icons__absent")
    assert "absent.parquet: no such file; correct its path" in line and "\n" not in line
    assert not metadata(first, "icons/mine")["unchanged"]

    write_icons(three_sources.root / "absent.parquet", [icon_row("a"), icon_row("b")])
    second = three_sources.run("ingest")
    assert second.success
    assert {name: metadata(second, f"icons/{name}")["unchanged"] for name in ("mine", "absent", "other")} == {
        "mine": True,
        "absent": False,
        "other": True,
    }


def test_the_ui_gets_groups_licenses_quarantine_and_a_contact_sheet(three_sources):
    broken = min(three_sources.icons.glob("*.png"))
    broken.write_bytes(b"")
    shown = metadata(three_sources.run("ingest", assets=["icons/mine"]), "icons/mine")
    assert (shown["dagster/row_count"], shown["quarantined"]) == (ICONS, 1)
    groups = [record.data for record in shown["icons by group"].records]
    assert sum(group["ok"] for group in groups) == ICONS - 1 and sum(group["quarantined"] for group in groups) == 1
    (license,) = [record.data for record in shown["licenses"].records]
    assert (license["license"], license["redistributable"], license["icons"]) == ("CC0-1.0", "yes", ICONS)
    (set_aside,) = [record.data for record in shown["quarantine"].records]
    assert set_aside == {"id": f"mine/{broken.stem}", "reason": f"{broken.name}: empty file"}
    assert shown["preview"].startswith("![image](data:image/webp;base64,") and Path(shown["preview file"]).exists()


def test_splits_and_look_alikes_are_shown_over_all_sources(three_sources):
    write_icons(three_sources.root / "absent.parquet", [icon_row("a"), icon_row("b")])
    assets = ["icons/mine", "icons/absent", "icons/other", "normalized_icons", "duplicates", "splits"]
    result = three_sources.run(assets=assets)
    assert result.success
    shown = metadata(result, "duplicates")
    assert shown["identical pairs"] >= 1 and Path(shown["identical file"]).exists()
    by_source = {record.data["source"]: record.data for record in metadata(result, "splits")["by source"].records}
    assert by_source.keys() == {"mine", "absent", "other"}
    (check,) = [check for check in result.get_asset_check_evaluations() if check.check_name == "no_leak"]
    assert check.passed and check.metadata["leaks"].value == 0


def _tick(project, cursor: str | None = None) -> dg.SensorResult:
    resources = {"store": StoreResource(root=str(project.store.root))}
    with dg.build_sensor_context(instance=project.instance, cursor=cursor, resources=resources) as context:
        result = defs().get_repository_def().get_sensor_def("new_upstream")(context)
    assert isinstance(result, dg.SensorResult)
    return result


def test_the_sensor_asks_for_what_has_changed_and_survives_a_source_that_is_gone(three_sources):
    first = _tick(three_sources)
    wanted = [request.asset_selection for request in first.run_requests]
    assert wanted == [[dg.AssetKey(["icons", "mine"])], [dg.AssetKey(["icons", "other"])]]
    assert json.loads(first.cursor).keys() == {"mine", "other"}
    assert len(first.asset_events) == 2
    _tick(three_sources)  # a daemon that was killed before it could keep the cursor
    told = Outbox.of(three_sources.store).waiting()
    assert {event.title for event in told} == {f"The source {name} has changed and is read again" for name in ("mine", "other")}
    assert len(told) == 2 and told[0].link.startswith("http://127.0.0.1:3000/assets/icons/")

    three_sources.run("ingest")
    second = _tick(three_sources, first.cursor)
    assert not second.run_requests and not second.asset_events

    changed = next(three_sources.icons.glob("*.png"))
    changed.write_bytes(changed.read_bytes() + b"\n")
    third = _tick(three_sources, second.cursor)
    (request,) = third.run_requests
    assert request.asset_selection == [dg.AssetKey(["icons", "mine"])]
    assert request.run_key not in {request.run_key for request in first.run_requests}


@pytest.mark.slow
def test_sources_are_read_in_processes_of_their_own_and_each_shows_its_lines(three_sources, late_tail):
    home = three_sources.root / "home"
    home.mkdir()
    (home / "dagster.yaml").write_bytes((PROJECT_ROOT / "dagster.yaml").read_bytes())
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "pipelines.definitions", "-j", "ingest"]
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    for line in ("absent.parquet: no such file", f"read {ICONS} images", "icons/other               done: 10 rows"):
        assert line in done.stdout, done.stdout + done.stderr
    assert all(list(three_sources.store.icons(name).glob("*.parquet")) for name in ("mine", "other"))


def test_a_source_that_does_not_answer_costs_the_sensor_no_other_source(three_sources, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(bundled, "observe", lambda config, context: released.wait(60))
    monkeypatch.setattr(sensors, "SECONDS", 3.0)  # for the other sources, on a busy machine
    tick = _tick(three_sources)
    released.set()
    assert json.loads(tick.cursor).keys() == {"mine", "other"} and len(tick.run_requests) == 2
