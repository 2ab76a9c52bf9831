"""The names of the registered model, of the aliases, and of the tags of decisions."""

import time

MODEL_NAME = "flowmodel"
CHALLENGER, CHAMPION = "challenger", "champion"
# Tags of a run; the first one is also a tag of a model version.
DECISION, REASON = "decision", "decision_reason"
# Tag of a version that a person has replaced as champion. It doesn't become champion again automatically.
ROLLED_BACK = "rolled_back"
GIVEN = "given_"  # with an alias appended: tag of the registered model, the version that this project last gave the alias to
RUN_FILE = "mlflow_run.json"  # in the folder of a training: the id of its run


def decision_file(version: str) -> str:
    """The artifact of a version's run with the decision about the version and its reasons."""
    return f"versions/{version}/decision.json"


def rolled_back_at() -> str:
    """The value of the tag `rolled_back`: the local date and time."""
    return time.strftime("%Y-%m-%d %H:%M")
