"""What the gate compares a model with, what it leaves in MLflow, and how a person chooses another champion."""

import os
import subprocess
import sys

import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.report import METRICS_FILE, EvaluationReport
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.recipes.schema import GateConfig
from flowmodel.recipes.split import Split
from flowmodel.registry.champion import ROLLED_BACK, decide_on, registered_versions, set_champion
from flowmodel.registry.references import aliases_of, checkpoint_of, find_version, resolve_model
from flowmodel.registry.runs import logged_values
from flowmodel.registry.tracking import Tracking
from flowmodel.store import Store
from tests.registry.conftest import FREE, Candidate
from tests.reports import changed

BOTH = ("challenger", "champion")


@pytest.fixture
def decided(store, prepared):
    def run(candidate, gate=FREE, log=lambda _: None):
        return decide_on(store, candidate.checkpoint, candidate.report, prepared.dataset, gate, log)

    return run


def _aliases(store: Store) -> dict[str, str]:
    return aliases_of(Tracking.of(store), "flowmodel")


def _checkpoint(store: Store, version: str) -> Checkpoint:
    return checkpoint_of(Tracking.of(store), find_version(Tracking.of(store), "flowmodel", number=version))


def _flowmodel(*arguments: str, store: Store) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flowmodel", "champion", *arguments],
        env=os.environ | {"FLOWMODEL_STORE": str(store.root), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )


def test_a_decision_is_readable_in_the_run_and_registers_nothing(decided, first, store):
    decision = decided(first)
    client = Tracking.of(store).client
    (run,) = client.search_runs([client.get_experiment_by_name("flowmodel").experiment_id])
    assert run.data.tags["decision"] == "champion" and run.data.tags["decision_reason"] == decision.reason
    logged = logged_values(Tracking.of(store), run.info.run_id, "evaluation/decision.json")
    assert [rule["words"] for rule in logged["rules"]] == [rule.words for rule in decision.rules]
    assert logged["rules"][1]["value"] == first.report.score(Split.TRAIN, "top1_of_all")
    assert client.search_registered_models() == []


def test_a_refused_model_leaves_its_decision_and_no_version(decided, registered, first, store):
    strict = GateConfig(min_top1=1.0)
    assert decided(first, strict).outcome == "refused"
    with pytest.raises(FlowmodelError, match=r"not good enough to be registered.*change evaluation\.gate in the recipe"):
        registered(first, gate=strict)
    client = Tracking.of(store).client
    (run,) = client.search_runs([client.get_experiment_by_name("flowmodel").experiment_id])
    assert run.data.tags["decision"] == "refused" and client.search_registered_models() == []


def test_a_version_carries_numbers_rule_and_outcome(registered, first, second, store):
    registered(first)
    registered(second(9.0))
    version = Tracking.of(store).client.get_model_version("flowmodel", "2")
    assert version.tags["decision"] == "challenger" and version.tags["decision_champion"] == "1"
    assert version.tags["decision_reason"].startswith("worse than the champion, version 1: KID of trained icons: ")
    kid = f"{first.report.score(Split.TRAIN, 'kid') * 9:.4g}"
    limit = f"{first.report.score(Split.TRAIN, 'kid_high'):.4g}"
    assert f"| champion | kid | train | {kid} | {limit} | BROKEN |" in version.description
    row = registered_versions(store)[1]
    assert {"against", "rule", "value", "limit", "outcome"} <= row.rules[0].keys() and row.aliases == ("challenger",)


def test_what_made_a_version_champion_stays_readable_when_it_is_met_again(registered, first, second, store):
    registered(first)
    better = second(0.5)
    reason = registered(better).decision.reason
    again = registered(better)
    assert again.decision.reason == reason and again.decision.rules and again.aliases == BOTH
    assert Tracking.of(store).client.get_model_version("flowmodel", "2").tags["decision_reason"] == reason
    assert Tracking.of(store).client.get_run(again.run_id).data.tags["decision_reason"] == reason


def test_a_champion_that_breaks_the_thresholds_of_now_is_refused(registered, decided, first):
    registered(first)
    assert decided(first, GateConfig(min_top1=1.0)).outcome == "refused"


def test_a_champion_scored_on_other_data_or_by_another_judge_is_scored_again(registered, decided, first, second, store):
    of_then = changed(first.report, {"settings.comparison_digest": "another judge"})
    registered(Candidate(first.checkpoint, of_then))
    lines, challenger = [], second(9.0)
    decision = decided(challenger, log=lines.append)
    assert "the champion, version 1, was scored on other icons or data; scoring it again" in lines
    assert "(scored again, on the icons, data and seeds of now)" in decision.reason and decision.outcome == "challenger"
    again = EvaluationReport.read(store.file("evaluation", "champion-1") / METRICS_FILE)
    assert again.settings.comparison_digest == challenger.report.settings.comparison_digest
    assert again.settings.seeds == challenger.report.settings.seeds
    # Icons and judge are the same in truth, so the numbers are, too.
    assert again.score(Split.TRAIN, "kid") == first.report.score(Split.TRAIN, "kid")
    (rule,) = (r for r in decision.rules if (r.against, r.name, r.split) == ("champion", "kid", "train"))
    assert rule.limit == again.score(Split.TRAIN, "kid_high")
    lines.clear()
    assert decided(challenger, log=lines.append).reason == decision.reason and lines == []  # scored once


def test_a_champion_whose_checkpoint_is_gone_is_replaced_and_that_is_said(registered, first, second, store):
    registered(first)
    _checkpoint(store, "1").path.unlink()
    with pytest.raises(FlowmodelError, match="gone from MLflow's artifacts"):
        resolve_model(store, None)
    result = registered(second(9.0))
    assert result.aliases == BOTH and result.decision.reason == "replaces the champion, version 1: its checkpoint is gone"
    renewed = registered(first)
    assert renewed.is_new and renewed.version == 3


def test_a_report_of_another_checkpoint_is_refused(decided, first, second):
    other = second(1.0)
    with pytest.raises(FlowmodelError, match="the evaluation is of another checkpoint; evaluate this one first"):
        decided(Candidate(first.checkpoint, other.report))


def test_rolling_back_is_one_command_and_the_pipeline_respects_it(registered, decided, first, second, store):
    better = second(0.5)
    registered(first)
    registered(better)
    done = _flowmodel("set", "1", store=store)
    assert done.returncode == 0
    assert done.stdout == "version 1 is the champion now; `flowmodel champion set 2` takes that back\n"
    assert _aliases(store) == {"challenger": "2", "champion": "1"}
    # The scheduled run meets the training of version 2 again.
    again = registered(better)
    assert again.aliases == ("challenger",) and "`flowmodel champion set 2` brings it back" in again.decision.reason
    assert _aliases(store)["champion"] == "1"
    assert set_champion(store, "2") == "1"
    assert _aliases(store)["champion"] == "2"
    assert ROLLED_BACK not in Tracking.of(store).client.get_model_version("flowmodel", "2").tags
    assert decided(better).reason == "version 2 is the champion already" and registered(better).aliases == BOTH


def test_show_and_list_say_what_the_gate_decided(registered, first, second, store):
    registered(first)
    registered(second(9.0))
    shown = _flowmodel("show", store=store)
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("version 1, registered 20") and lines[0].endswith("recipe tiny")
    assert lines[1] == "the gate's decision: champion: there is no champion yet, the recipe's thresholds alone decide"
    assert any("the recipe waives max_copy_ratio" in line for line in lines)
    listed = _flowmodel("list", store=store)
    assert listed.returncode == 0, listed.stderr
    table = " ".join(listed.stdout.split())
    assert "champion" in table and "challenger: worse" in table and "WORSE" in table


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["set", "7"], "version '7': not in MLflow store sqlite:///"),
        (["set", "best"], "version 'best': not in MLflow store sqlite:///"),
    ],
)
def test_a_version_that_is_not_there_is_one_clear_line(arguments, words, registered, first, store):
    registered(first)
    failed = _flowmodel(*arguments, store=store)
    assert failed.returncode == 2 and len(failed.stderr.splitlines()) == 1
    assert words in failed.stderr and failed.stderr.strip().endswith("there are 1")
    assert _aliases(store)["champion"] == "1"


def test_a_version_without_checkpoint_does_not_become_champion(registered, first, second, store):
    registered(first)
    registered(second(9.0))
    _checkpoint(store, "2").path.unlink()
    with pytest.raises(FlowmodelError, match="version '2': its checkpoint is gone from MLflow; choose another one"):
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
