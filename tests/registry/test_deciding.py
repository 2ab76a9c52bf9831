"""What the gate decides against the champion of a real MLflow: it fails closed if the comparison fails for any reason."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flowmodel.data.prepare import prepare
from flowmodel.errors import FlowmodelError
from flowmodel.recipes import parse_recipe
from flowmodel.registry.champion import standing_of
from flowmodel.registry.choosing import set_champion
from flowmodel.registry.names import CHAMPION, MODEL_NAME
from flowmodel.registry.references import checkpoint_of, find_version
from flowmodel.registry.runs import logged_values
from flowmodel.registry.tracking import Tracking
from flowmodel.release.decision import Decision
from flowmodel.store import Store
from flowmodel.training.loop import train
from tests.mlflow_server import MlflowServer
from tests.registry.conftest import candidate_of, registered_by, with_header

ON_BY_HAND = "choose by hand with `flowmodel champion set`"


def _aliases(store: Store) -> dict[str, str]:
    return standing_of(Tracking.of(store)).aliases


def _stays_challenger(decision: Decision, says: str) -> None:
    assert decision.outcome == "challenger" and not decision.conclusive
    assert says in decision.reason and decision.reason.endswith(ON_BY_HAND) and "\n" not in decision.reason


def test_a_decision_is_readable_in_the_run_and_registers_nothing(decided, first, store):
    decision = decided(first)
    client = Tracking.of(store).client
    (run,) = client.search_runs([client.get_experiment_by_name("flowmodel").experiment_id])
    assert run.data.tags["decision"] == "champion" and run.data.tags["decision_reason"] == decision.reason
    logged = logged_values(Tracking.of(store), run.info.run_id, "evaluation/decision.json")
    assert Decision.parse(logged, "run") == decision
    assert client.search_registered_models() == []


def test_the_gate_is_that_of_the_recipe_that_trained_the_checkpoint(decided, first, tmp_path):
    strict = {"rules": [{"metric": "retrieval_top1_all", "split": "train", "min": 1.0}]}
    decision = decided(with_header(first, tmp_path / "strict", gate=strict))
    assert decision.outcome == "refused" and decision.gate.rules[0].min == 1.0
    assert decided(first).outcome == "champion"


def test_a_report_of_another_checkpoint_is_refused(decided, first, second):
    with pytest.raises(FlowmodelError, match="the evaluation is of another checkpoint; evaluate this one first"):
        decided(replace(first, report=second.report))


def test_a_worse_model_is_challenger_and_a_better_one_champion(decided, registered, first, second):
    registered(second)
    decision = decided(first)
    assert decision.outcome == "champion" and decision.champion == "1"
    assert decision.reason == "no score is worse than the champion's (version 1)"
    registered(first)
    again = decided(replace(second, report_digest="another evaluation"))
    assert again.outcome == "challenger" and again.champion == "2"


def test_a_decided_comparison_is_not_sampled_again(decided, registered, first, second):
    registered(first)
    lines: list[str] = []
    decision = decided(second, log=lines.append)
    assert decision.outcome == "challenger"
    assert decision.reason.startswith("not shown to be as good as the champion, version 1: KID of 24 held-out icons")
    assert any("challenger and champion sample" in line for line in lines)
    lines.clear()
    assert decided(second, log=lines.append) == decision and lines == []
    decided(replace(second, report_digest="another evaluation"), log=lines.append)
    assert any("challenger and champion sample" in line for line in lines)


def test_the_champion_keeps_the_decision_that_made_it_champion(decided, registered, first):
    made = registered(first).decision
    assert decided(first) == made


def test_a_missing_checkpoint_is_no_reason_to_replace_the_champion(decided, registered, first, second, store):
    registered(first)
    tracking = Tracking.of(store)
    checkpoint_of(tracking, find_version(tracking, MODEL_NAME, alias=CHAMPION)).path.unlink()
    _stays_challenger(decided(second), "can't be compared with the champion, version 1: ")
    assert registered(second).aliases == ("challenger",)
    assert _aliases(store) == {"champion": "1", "challenger": "2"}


def test_an_unmounted_disk_is_no_reason_to_replace_the_champion(decided, registered, first, second, store, tmp_path):
    registered(first)
    registered(second)  # it is recorded while the disk is mounted
    before = _aliases(store)
    shutil.move(store.mlflow_artifacts, tmp_path / "away")
    decision = decided(replace(second, report_digest="another evaluation"))
    _stays_challenger(decision, "can't be compared with the champion, version 1: ")
    shutil.move(tmp_path / "away", store.mlflow_artifacts)
    assert _aliases(store) == before


def test_a_damaged_checkpoint_is_no_reason_to_replace_the_champion(decided, registered, first, second, store):
    registered(first)
    tracking = Tracking.of(store)
    checkpoint_of(tracking, find_version(tracking, MODEL_NAME, alias=CHAMPION)).path.write_bytes(b"no weights")
    _stays_challenger(decided(second), "not a flowmodel checkpoint")


def test_a_missing_encoder_is_no_reason_to_replace_the_champion(decided, registered, first, second, store, tmp_path):
    registered(with_header(first, tmp_path / "gone", encoder="local-dir:/gone"))
    _stays_challenger(decided(second), "/gone")
    assert registered(second).aliases == ("challenger",) and _aliases(store)["champion"] == "1"


def test_other_colors_are_no_reason_to_replace_the_champion(
    decided, registered, first, second, store, tiny_recipe, prepared, tmp_path
):
    values = tiny_recipe.model_dump(mode="json")
    values["data"]["color"] = "rgb"
    values["training"] |= {"steps": 2}
    recipe = parse_recipe(values, "test")
    opaque = train(recipe, prepare(recipe, prepared.store), tmp_path / "opaque").checkpoint
    registered(candidate_of(opaque, first.report, first.grid))
    _stays_challenger(decided(second), "images are rgba and the champion's rgb")
    assert registered(second).aliases == ("challenger",) and _aliases(store)["champion"] == "1"


def test_only_a_definite_answer_lets_the_rules_alone_decide(decided, registered, first, second, store):
    registered(first)
    Tracking.of(store).client.delete_model_version(MODEL_NAME, "1")
    decision = decided(second)
    assert decision.outcome == "champion" and decision.reason == "there is no champion yet, so only the recipe's rules apply"


@pytest.mark.slow
def test_an_unreachable_server_is_no_reason_to_replace_the_champion(
    decided, recorded, registered, first, second, store, empty_database, tmp_path, monkeypatch
):
    database = Path(shutil.copy(empty_database, tmp_path / "server.db"))
    server = MlflowServer(database, tmp_path / "server")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    with server:
        registered(first)
        recorded(second)
    decision = decided(second, record=False)
    _stays_challenger(
        decision, f"can't be compared with the champion: MLflow store {server.address}: the server can't be reached"
    )
    with server:
        made = registered_by(store, second, decision)
        assert made.aliases == ("challenger",) and _aliases(store) == {"champion": "1", "challenger": "2"}


def test_an_alias_that_a_person_moved_is_reported_and_kept(decided, registered, first, second, store):
    registered(second)
    registered(first)
    client = Tracking.of(store).client
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, "1")  # as MLflow's own page does
    decision = decided(first)
    assert decision.outcome == "challenger" and decision.champion == "1"
    assert "version 2 was champion until somebody moved the alias in MLflow" in decision.reason
    assert decision.notes == ("somebody moved the alias `champion` from version 2 to version 1 in MLflow, which is kept",)
    again = registered(first)
    assert again.aliases == ("challenger",) and _aliases(store)["champion"] == "1"
    # It was reported; from now on the version counts as rolled back.
    later = decided(first)
    assert later.notes == () and later.outcome == "challenger"
    assert "`flowmodel champion set 2` brings it back" in later.reason
    set_champion(store, "2")
    assert decided(first).outcome == "champion" and registered(first).aliases == ("champion",)


def test_an_alias_that_a_person_removed_is_reported_and_stays_removed(decided, registered, first, second, store):
    registered(second)
    Tracking.of(store).client.delete_registered_model_alias(MODEL_NAME, CHAMPION)
    for candidate in (first, second):
        decision = decided(candidate)
        assert decision.outcome == "challenger"
        assert decision.reason.startswith("somebody removed the alias `champion` from version 1 in MLflow")
        assert decision.notes and "`flowmodel champion set` names one" in decision.reason
        registered(candidate)
    assert "champion" not in _aliases(store)
    set_champion(store, "2")
    assert _aliases(store) == {"champion": "2", "challenger": "1"}
