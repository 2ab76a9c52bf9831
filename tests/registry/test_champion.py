"""The gate's decision in MLflow, and a person's choice of another champion."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.registry import versions
from flowmodel.registry.champion import set_champion_by_mlflow, standing_of
from flowmodel.registry.choosing import set_champion
from flowmodel.registry.names import ROLLED_BACK
from flowmodel.registry.references import checkpoint_of, find_version
from flowmodel.registry.tracking import Tracking
from flowmodel.registry.versions import decided, registered_versions
from flowmodel.store import Store
from tests.registry.conftest import registered_by, with_header


def _aliases(store: Store) -> dict[str, str]:
    return standing_of(Tracking.of(store)).aliases


def _registry_rows(database: Path) -> list[set[tuple]]:
    tables = ("registered_model_aliases", "registered_model_tags", "model_version_tags", "model_versions")
    with closing(sqlite3.connect(database)) as connection:
        rows = [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]
    return [{tuple("now" if isinstance(v, str) and v[:2] == "20" else v for v in row) for row in table} for table in rows]


def _flowmodel(*arguments: str, store: Store, columns: int = 200) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flowmodel", "champion", *arguments],
        env=os.environ | {"FLOWMODEL_STORE": str(store.root), "COLUMNS": str(columns)},
        capture_output=True,
        text=True,
    )


def test_a_version_carries_numbers_rules_and_outcome(registered, first, second, store):
    registered(first)
    made = registered(second)
    version = Tracking.of(store).reader.get_model_version("flowmodel", "2")
    assert version.tags.keys() == {"decision", "kid", "top1", "recipe", "size"} and version.tags["decision"] == "challenger"
    kid = next(row for row in made.decision.records if row["metric"] == "KID")
    assert f"| champion | KID | unseen by both | {kid['value']} | {kid['limit']} | BROKEN |" in version.description
    row = registered_versions(store)[1]
    reason, rules = decided(store, row)
    assert reason.startswith("not shown to be as good as the champion, version 1: KID of 24 held-out")
    assert rules == [rule.words for rule in made.decision.rules] and row.aliases == ("challenger",)
    assert "License of the training icons: Apache-2.0." in version.description
    assert "get-artifact?path=evaluation%2Fsample_grid_preview.png" in version.description


def test_the_champion_is_not_a_challenger(registered, first, second, store):
    assert registered(second).aliases == ("champion",) and _aliases(store) == {"champion": "1"}
    assert registered(first).aliases == ("champion",) and _aliases(store) == {"champion": "2"}
    again = registered(second)
    assert again.aliases == ("challenger",) and _aliases(store) == {"champion": "2", "challenger": "1"}
    assert set_champion(store, "1") == "2" and _aliases(store) == {"champion": "1"}


def test_the_decision_for_a_champion_is_kept_when_it_is_registered_again(registered, first, second, store):
    registered(second)
    reason = registered(first).decision.reason
    again = registered(first)
    assert again.decision.reason == reason and again.decision.rules and again.aliases == ("champion",)
    assert decided(store, registered_versions(store)[1])[0] == reason
    assert Tracking.of(store).reader.get_run(again.run_id).data.tags["decision_reason"] == reason


def test_a_decision_of_something_else_registers_nothing(decided, first, second, store, tmp_path):
    decision = decided(first)
    strict = with_header(
        first, tmp_path / "strict", gate={"rules": [{"metric": "retrieval_top1_all", "split": "train", "min": 1.0}]}
    )
    refused = decided(strict)
    assert refused.outcome == "refused"
    for candidate, changes, says in (
        (second, {}, "the gate's decision is of another checkpoint"),
        (first, {"report_digest": "of another evaluation"}, "the gate's decision is of another evaluation"),
        (
            strict,
            {**refused.model_dump(include={"checkpoint_digest", "report_digest"})},
            "by other rules than those of the recipe",
        ),
    ):
        with pytest.raises(FlowmodelError, match=says):
            registered_by(store, candidate, decision.model_copy(update=changes))
    with pytest.raises(FlowmodelError, match="not good enough to be registered"):
        registered_by(store, strict, refused)
    assert Tracking.of(store).client.search_registered_models() == []


def test_a_new_champion_after_the_decision_leaves_the_model_challenger(decided, registered, first, second, store):
    decision = decided(second)  # there is none yet
    registered(first)
    made = registered_by(store, second, decision)
    assert made.aliases == ("challenger",) and _aliases(store)["champion"] == "1"
    assert made.decision.reason.startswith("the champion was none when the gate decided, and is version 1 now")


def test_a_decision_that_a_person_has_overruled_is_not_carried_out_again(decided, registered, first, second, store):
    registered(second)
    decision = decided(first)
    assert registered_by(store, first, decision).aliases == ("champion",)
    set_champion(store, "1")
    assert registered_by(store, first, decision).aliases == ("challenger",) and _aliases(store)["champion"] == "1"


def test_rolling_back_is_one_command_and_the_pipeline_respects_it(registered, decided, first, second, store):
    registered(second)
    registered(first)
    done = _flowmodel("set", "1", store=store)
    assert done.returncode == 0
    assert done.stdout == "version 1 is now the champion; `flowmodel champion set 2` undoes that\n"
    assert _aliases(store)["champion"] == "1"
    # The scheduled run finds the training of version 2 again.
    again = registered(first)
    assert again.aliases == ("challenger",) and "`flowmodel champion set 2` brings it back" in again.decision.reason
    assert again.decision.notes == () and _aliases(store) == {"challenger": "2", "champion": "1"}
    assert set_champion(store, "2") == "1"
    assert _aliases(store) == {"champion": "2"}
    assert ROLLED_BACK not in Tracking.of(store).reader.get_model_version("flowmodel", "2").tags
    assert decided(first).reason == "version 2 is already the champion" and registered(first).aliases == ("champion",)


def test_a_challenger_alias_that_a_person_removed_is_not_given_again(registered, first, second, store):
    registered(first)
    registered(second)
    Tracking.of(store).client.delete_registered_model_alias("flowmodel", "challenger")
    again = registered(second)
    assert again.aliases == () and _aliases(store) == {"champion": "1"}
    assert again.decision.notes == ("somebody removed the alias `challenger` from version 2 in MLflow, which is kept",)


def test_show_and_list_say_what_the_gate_decided(registered, first, second, store):
    registered(first)
    registered(second)
    shown = _flowmodel("show", store=store)
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("version 1, champion, registered 20") and lines[0].endswith("recipe tiny")
    assert lines[1] == "the gate's decision: champion: there is no champion yet, so only the recipe's rules apply"
    assert any("the recipe waives that rule, because thirty steps learn nothing" in line for line in lines)
    other = _flowmodel("show", "2", store=store)
    assert "the gate's decision: challenger: not shown" in other.stdout and "NOT SHOWN" in other.stdout
    assert "version '9': no such version; there are 1, 2" in _flowmodel("show", "9", store=store).stderr


def test_a_list_of_versions_has_a_line_each_in_a_narrow_terminal(registered, first, second, store):
    registered(first)
    registered(second)
    set_champion(store, "2")
    listed = _flowmodel("list", store=store, columns=80)
    assert listed.returncode == 0, listed.stderr
    lines = listed.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines if line.strip()[:1].isdigit()]
    assert [row[:2] for row in rows] == [["1", "-"], ["2", "champion"]]
    assert rows[0][-2:] == ["rolled", "back"] and rows[1][-1] == "challenger" and rows[0][3] == "tiny"


def test_versions_are_read_and_chosen_without_importing_mlflow(registered, first, second, store):
    registered(first)
    registered(second)
    tracking = Tracking.of(store)
    fast, told = registered_versions(store), versions._of_mlflow(store)
    assert fast == sorted(told, key=lambda row: int(row.version))
    tracking.client.delete_model_version("flowmodel", "2")
    assert [row.version for row in registered_versions(store)] == ["1"]
    script = (
        "import sys; from flowmodel.cli import main\n"
        "for words in ['champion', 'list'], ['champion', 'set', '1']:\n"
        "    sys.argv[1:] = words\n"
        "    try: main()\n"
        "    except SystemExit: pass\n"
        "print('heavy:', {'mlflow', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"FLOWMODEL_STORE": str(store.root)},
        capture_output=True,
        text=True,
    )
    assert "champion" in done.stdout and "heavy: set()" in done.stdout, done.stdout + done.stderr


def test_choosing_a_champion_changes_the_database_as_mlflow_does(registered, first, second, store, tmp_path):
    registered(first)
    registered(second)
    database = Tracking.of(store).database
    before = shutil.copy(database, tmp_path / "before.db")
    for version in ("2", "1", "2"):
        set_champion(store, version)
    changed = _registry_rows(database)
    shutil.copy(before, database)
    for version in ("2", "1", "2"):
        set_champion_by_mlflow(store, version)
    assert _registry_rows(database) == changed and changed != _registry_rows(before)


def test_a_locked_database_is_left_to_mlflow(registered, first, second, store):
    registered(first)
    registered(second)
    with closing(sqlite3.connect(Tracking.of(store).database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(FlowmodelError, match="locked"):
            set_champion(store, "2")
    assert _aliases(store)["champion"] == "1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["set", "7"], "version '7': not in MLflow store sqlite:///"),
        (["set", "best"], "version 'best': not in MLflow store sqlite:///"),
    ],
)
def test_a_version_that_is_not_there_gives_one_clear_line(arguments, words, registered, first, store):
    registered(first)
    failed = _flowmodel(*arguments, store=store)
    assert failed.returncode == 2 and len(failed.stderr.splitlines()) == 1
    assert words in failed.stderr and failed.stderr.strip().endswith("there are 1")
    assert _aliases(store)["champion"] == "1"


def test_a_version_without_checkpoint_does_not_become_champion(registered, first, second, store):
    registered(first)
    registered(second)
    tracking = Tracking.of(store)
    checkpoint_of(tracking, find_version(tracking, "flowmodel", number="2")).path.unlink()
    with pytest.raises(FlowmodelError, match="version '2': its checkpoint is missing in MLflow; choose another one"):
        set_champion(store, "2")


@pytest.mark.parametrize("arguments", [["show"], ["list"], ["set", "1"]])
def test_without_any_model_the_commands_say_how_to_get_one(arguments, tmp_path):
    failed = _flowmodel(*arguments, store=Store(tmp_path / "nothing"))
    assert failed.returncode == 2 and "no model is registered yet; run `make quickstart`" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1 and not (tmp_path / "nothing").exists()


def test_without_a_champion_show_says_what_to_do(registered, first, store):
    registered(first)
    Tracking.of(store).client.delete_registered_model_alias("flowmodel", "champion")
    failed = _flowmodel("show", store=store)
    assert failed.returncode == 2 and "no version is champion" in failed.stderr and "`flowmodel champion set`" in failed.stderr
