"""What the registry calls its model, the aliases of a version, and the tags that say how it was decided."""

MODEL_NAME = "flowmodel"
CHALLENGER, CHAMPION = "challenger", "champion"
# Tags of a run; the first one is a model version's too.
DECISION, REASON = "decision", "decision_reason"
# Tag of a version that a person has replaced as champion: it doesn't come back by itself when its training is met again.
ROLLED_BACK = "rolled_back"
GIVEN = "given_"  # with an alias appended: tag of the registered model, the version that this project last gave the alias to
RUN_FILE = "mlflow_run.json"  # beside the checkpoints of a training: the id of its run


def decision_file(version: str) -> str:
    """The artifact of a version's run that holds what was decided about the version, and why."""
    return f"versions/{version}/decision.json"
