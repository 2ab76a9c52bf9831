"""What the registry calls its model, the aliases of a version, and the tags that say how it was decided."""

MODEL_NAME = "flowmodel"
CHALLENGER, CHAMPION = "challenger", "champion"
# Tags of a model version. One that a person has replaced as champion doesn't come back by itself when its training is met again.
DECISION, REASON, RULES, COMPARED, ROLLED_BACK = (
    "decision",
    "decision_reason",
    "decision_rules",
    "decision_champion",
    "rolled_back",
)
