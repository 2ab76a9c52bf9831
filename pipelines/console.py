"""Log lines for a terminal: time, asset, message, and nothing else."""

import logging
import sys
from datetime import datetime

import dagster as dg

_STEP_WIDTH = 18


class _ShortFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", {})
        message = _event_message(meta.get("dagster_event")) or meta.get("orig_message") or record.getMessage()
        level = "" if record.levelno < logging.WARNING else f"{record.levelname}: "
        step = (meta.get("step_key") or meta.get("job_name") or "").replace("__", "/")
        return f"{datetime.fromtimestamp(record.created):%H:%M:%S}  {step:<{_STEP_WIDTH}}  {level}{message}"


class _Relevant(logging.Filter):
    """Lets pass what assets say, what was materialised and what went wrong; not the engine's own events."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        event = getattr(record, "dagster_meta", {}).get("dagster_event")
        if event is not None and event.is_step_materialization:  # which Dagster logs at DEBUG
            return True
        return record.levelno >= (self._level if event is None else logging.WARNING)


def _event_message(event: dg.DagsterEvent | None) -> str | None:
    """One readable line where the event has one, else None."""
    if event is None:
        return None
    if event.is_step_materialization:
        shown = {label: value.value for label, value in event.materialization.metadata.items()}
        rows = f"{shown['dagster/row_count']} rows, " if "dagster/row_count" in shown else ""
        return f"done: {rows}{shown.get('megabytes', 0)} MB, {shown.get('seconds', 0)} s"
    if event.is_step_failure:
        failure = event.step_failure_data
        # A dg.Failure is meant to be read; of anything else the whole trace is shown.
        return failure.user_failure_data.description if failure.user_failure_data else failure.error_display_string
    return None


@dg.logger(config_schema={"log_level": dg.Field(str, default_value="INFO", description="The least level of messages shown.")})
def console_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Short lines on standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_ShortFormatter())
    handler.addFilter(_Relevant(logging.getLevelNamesMapping()[context.logger_config["log_level"]]))
    logger = logging.Logger("flowmodel.console", logging.DEBUG)
    logger.addHandler(handler)
    return logger
