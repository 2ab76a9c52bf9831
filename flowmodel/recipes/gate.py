"""The recipe's section `gate`: the scores that a model needs to be registered and to replace the champion."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flowmodel.recipes.renamed import PERCENT, SCORES
from flowmodel.recipes.split import Split

# All scores of a report. Recipes don't import evaluation/report.py; tests/recipes/test_gate.py checks that both lists agree.
Metric = Literal[
    "kid", "kid_low", "kid_high", "fd", "fd_infinity", "precision", "recall", "density", "coverage", "vendi",
    "retrieval_top1_split", "retrieval_top1_source", "retrieval_top1_all", "retrieval_top5_all", "caption_probe_top1",
    "caption_probe_top5", "clip_similarity",
    "alpha_iou", "alpha_error", "flat_share", "inner_variation", "edge_sharpness", "half_transparent", "color_count",
    "finest_band", "near_copy_rate", "copy_rate", "copy_rate_pixels", "neighbor_ratio", "neighbor_ratio_pixels",
    "authentic_rate", "loss", "loss_gap",
]  # fmt: skip
Bound = Literal["min", "max"]

# Recipes older than rules had four named thresholds.
_FORMER: dict[str, tuple[Metric, Split, Bound]] = {
    "max_kid": ("kid", Split.TRAIN, "max"),
    "min_top1": ("retrieval_top1_all", Split.TRAIN, "min"),
    "min_alpha_iou": ("alpha_iou", Split.TRAIN, "min"),
    "max_copy_ratio": ("near_copy_rate", Split.UNSEEN_CONCEPT, "max"),
}
_FORMER_FIELDS = {*_FORMER, "waived", "compared", "top1_tolerance"}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GateRule(_Section):
    """A limit on one score of the evaluation report."""

    metric: Metric = Field(description="A score of metrics.json.")
    split: Split = Field(
        description="The icons that the score is measured on: train, validation, unseen_concept, unseen_style or unseen_tone."
    )
    min: float | None = Field(None, description="Lower limit; set this or max.")
    max: float | None = Field(None, description="Upper limit; set this or min.")
    waived: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="Reason why the rule does not apply, which every decision repeats; a limit is then optional."
    )

    @property
    def limit(self) -> float | None:
        """None only if the rule is waived."""
        return self.max if self.min is None else self.min

    @model_validator(mode="before")
    @classmethod
    def _read_former_metric(cls, values: Any) -> Any:
        if not isinstance(values, dict) or (former := values.get("metric")) not in SCORES:
            return values
        of_percent = {b: values[b] / 100 for b in ("min", "max") if former in PERCENT and isinstance(values.get(b), int | float)}
        return values | of_percent | {"metric": SCORES[former]}

    @model_validator(mode="after")
    def _has_one_limit(self) -> "GateRule":
        if self.min is not None and self.max is not None:
            raise ValueError("min: max is set too; write two rules")
        if self.limit is None and self.waived is None:
            raise ValueError("min: missing; set min or max, or waived with a reason")
        return self


class GateConfig(_Section):
    """The conditions for registering a model and for replacing the champion (docs/deployment.md)."""

    rules: tuple[GateRule, ...] = Field(
        (), description="A model that breaks one is not registered. Each: {metric, split, min or max, waived: reason}."
    )
    tolerance: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.1,
        description="How much worse than the champion a model may be in the worst case within the 95% interval: for "
        "retrieval scores (0 to 1), and as a share of the champion's KID.",
    )
    on_worse: Literal["register", "fail"] = Field(
        "register",
        description="A model that isn't shown to be as good as the champion becomes challenger; fail: the run fails.",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_former_names(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not (former := values.keys() & _FORMER_FIELDS):
            return values
        if "rules" in values or "tolerance" in values:
            name = min(former)
            raise ValueError(f"{name}: from an earlier release; {_new_form(name, values[name])}")
        waived = values.get("waived") or {}
        rules = []
        for name, (metric, split, bound) in _FORMER.items():
            limit, reason = values.get(name), waived.get(name)
            if limit is not None and reason is not None:
                raise ValueError(f"waived: {name} has a limit and is waived; remove one of the two")
            if limit is not None:
                rules.append({"metric": metric, "split": split, bound: limit})
            elif reason is not None:
                rules.append({"metric": metric, "split": split, "waived": reason})
        # `compared` and `top1_tolerance` belonged to an earlier comparison with the champion.
        return {name: value for name, value in values.items() if name not in _FORMER_FIELDS} | {"rules": rules}


def _new_form(name: str, value: Any) -> str:
    if name not in _FORMER:
        return "remove it" if name != "waived" else "write the reason as waived into the rule that it is about"
    metric, split, bound = _FORMER[name]
    return f"write rules: [{{metric: {metric}, split: {split}, {bound}: {value}}}]"
