"""The lines of a run in a terminal."""

import json

import dagster as dg

from flowmodel.errors import FlowmodelError
from pipelines.console import console_logger
from pipelines.failures import readable_failures

CONSOLE = {"loggers": {"console": {"config": {}}}}


def _run(capsys, *assets, checks=()) -> list[str]:
    definitions = dg.Definitions(
        assets=assets,
        asset_checks=checks,
        loggers={"console": console_logger},
        jobs=[dg.define_asset_job("job", config=CONSOLE)],
        executor=dg.in_process_executor,
    )
    with dg.instance_for_test() as instance:
        definitions.resolve_job_def("job").execute_in_process(instance=instance, raise_on_error=False)
    return [line.partition("  ")[2] or line for line in capsys.readouterr().out.splitlines()]  # without the time


def test_the_reason_of_a_failure_is_shown_even_if_what_dagster_captures_is_not(late_tail, capfd):
    @dg.asset
    @readable_failures()
    def broken() -> None:
        print("captured")
        raise FlowmodelError("captions.csv: column 'name' is missing")

    lines = _run(capfd, broken)
    assert lines[0] == "broken                    ERROR: captions.csv: column 'name' is missing"
    assert "captured" not in lines


def test_messages_and_materializations_and_nothing_else(capsys):
    @dg.asset(key=["icons", "noto"])
    def icons(context: dg.AssetExecutionContext):
        context.log.debug("not this")
        context.log.info("reading")
        return dg.MaterializeResult(metadata={"dagster/row_count": 3, "megabytes": 0.5, "seconds": 1.25})

    assert _run(capsys, icons) == ["icons/noto                reading", "icons/noto                done: 3 rows, 0.5 MB, 1.2 s"]


def test_a_switch_makes_a_json_object_of_each_line(capsys, monkeypatch):
    @dg.asset
    def icons(context: dg.AssetExecutionContext) -> None:
        context.log.warning("café\nis missing")

    monkeypatch.setenv("FLOWMODEL_LOG", "json")
    first, *_ = (json.loads(line) for line in _run(capsys, icons))
    assert first.keys() == {"time", "level", "run_id", "step", "message"} and len(first["run_id"]) == 36
    assert (first["level"], first["step"], first["message"]) == ("WARNING", "icons", "café\nis missing")


def test_a_readable_failure_gives_one_line(capsys):
    @dg.asset
    @readable_failures()
    def broken() -> None:
        raise FlowmodelError("captions.csv: column 'name' is missing")

    @dg.asset(deps=[broken])
    def skipped() -> None: ...

    lines = _run(capsys, broken, skipped)
    assert lines[0] == "broken                    ERROR: captions.csv: column 'name' is missing"
    assert len(lines) == 2 and "Steps failed: ['broken']" in lines[1]


def test_a_failed_check_says_why_in_one_line(capsys):
    @dg.asset
    def model() -> None: ...

    @dg.asset_check(asset=model, blocking=True)
    def gate() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, description="KID 0.9, must be at most 0.1")

    lines = _run(capsys, model, checks=[gate])
    assert "model_gate                check gate of model failed: KID 0.9, must be at most 0.1" in lines
    assert "model_gate                ERROR: 1 blocking asset check failed with ERROR severity: model: gate" in lines


def test_a_mistake_in_the_program_keeps_its_trace(capsys):
    @dg.asset
    def broken() -> None:
        raise ZeroDivisionError("oops")

    assert any("ZeroDivisionError: oops" in line for line in _run(capsys, broken))
