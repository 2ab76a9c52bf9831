"""Log lines for a terminal: only time, asset and message."""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import dagster as dg
from dagster import AssetCheckEvaluation

_STEP_WIDTH = 24
_FAILED_CHECK = "DagsterAssetCheckFailedError"  # Dagster's exception for a failed blocking check
# How Dagster's messages begin about each skipped step after a failure, and about a process that has opened its channel.
_CONSEQUENCES = ("Dependencies for step", "[pipes] external process successfully opened")


class _ShortFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno < logging.WARNING else f"{record.levelname}: "
        return f"{datetime.fromtimestamp(record.created):%H:%M:%S}  {_step(record):<{_STEP_WIDTH}}  {level}{_message(record)}"


class _JsonFormatter(logging.Formatter):
    """A JSON object per line: `time` (ISO 8601, UTC), `level`, `run_id`, `step` and `message`."""

    def format(self, record: logging.LogRecord) -> str:
        values = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "run_id": getattr(record, "dagster_meta", {}).get("run_id"),
            "step": _step(record),
            "message": _message(record),
        }
        return json.dumps(values, ensure_ascii=False)


def _message(record: logging.LogRecord) -> str:
    meta = getattr(record, "dagster_meta", {})
    return _event_message(meta.get("dagster_event")) or meta.get("orig_message") or record.getMessage()


def _step(record: logging.LogRecord) -> str:
    meta = getattr(record, "dagster_meta", {})
    return _step_name(meta.get("step_key") or meta.get("job_name") or "")


def _step_name(key: str) -> str:
    return key.replace("__", "/")


class _Relevant(logging.Filter):
    """Passes messages of assets, materializations, failed checks and errors, and drops the engine's own events."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        event = getattr(record, "dagster_meta", {}).get("dagster_event")
        if event is None:
            return record.levelno >= self._level and not any(each in record.getMessage() for each in _CONSEQUENCES)
        # Dagster logs these two at DEBUG.
        return record.levelno >= logging.WARNING or event.is_step_materialization or _failed_check(event) is not None


def _event_message(event: dg.DagsterEvent | None) -> str | None:
    """A readable line for the event, or None if it has none."""
    if event is None:
        return None
    if event.is_step_materialization:
        shown = {label: value.value for label, value in event.materialization.metadata.items()}
        rows = f"{shown['dagster/row_count']} rows, " if "dagster/row_count" in shown else ""
        name = event.materialization.asset_key.to_user_string()
        name = "" if name == _step_name(event.step_key or "") else f"{name} "
        return f"{name}done: {rows}{shown.get('megabytes', 0):.3g} MB, {shown.get('seconds', 0):.1f} s"
    if check := _failed_check(event):
        return f"check {check.check_name} of {check.asset_key.to_user_string()} failed: {check.description or 'see the UI'}"
    if event.is_step_failure:
        return _reason(event.step_failure_data)
    return None


def _failed_check(event: dg.DagsterEvent) -> AssetCheckEvaluation | None:
    data = event.event_specific_data
    return data if isinstance(data, AssetCheckEvaluation) and not data.passed else None


def _reason(failure: Any) -> str:
    """One line for a dg.Failure or a failed check, which are written for the user; the whole trace of anything else."""
    if failure.user_failure_data is not None and failure.user_failure_data.description:
        return failure.user_failure_data.description
    if failure.error.cls_name == _FAILED_CHECK:
        return " ".join(failure.error.message.split()).partition(": ")[2]
    return failure.error_display_string


class _TerminalHandler(logging.StreamHandler[TextIO]):
    """Writes to the standard output that the process has now.

    While steps run, Dagster redirects the standard output to a file, which a `tail` copies to the terminal. Dagster kills this
    `tail` as soon as the steps have ended, so that the last lines, such as the reason for a failure, may never be shown.
    """

    def __init__(self) -> None:
        self._own: TextIO | None = None
        try:
            self._own = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)
        except OSError:  # a stream without a file, as in a notebook
            super().__init__(sys.stdout)
        else:
            super().__init__(self._own)

    def __del__(self) -> None:
        if self._own is not None:
            self._own.close()


@dg.logger(config_schema={"log_level": dg.Field(str, default_value="INFO", description="The lowest level of messages shown.")})
def console_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Short lines on standard output, or a JSON object per line if FLOWMODEL_LOG is `json`."""
    handler = _TerminalHandler()
    handler.setFormatter(_JsonFormatter() if os.environ.get("FLOWMODEL_LOG") == "json" else _ShortFormatter())
    handler.addFilter(_Relevant(logging.getLevelNamesMapping()[context.logger_config["log_level"]]))
    logger = logging.Logger("flowmodel.console", logging.DEBUG)
    logger.addHandler(handler)
    return logger
