"""When assets are rematerialized automatically."""

import dagster as dg

_Condition = dg.AutomationCondition

# Not `eager()`, which fires whenever something upstream was materialized, even if its content is unchanged.
# `will_be_requested` passes the request down to the registry, so that one run makes everything and a training never starts on
# new tensors with old captions. `executed_with_root_target` excludes assets that this run has yet to make.
on_changed_data = (
    _Condition.any_deps_match(
        (_Condition.data_version_changed() & ~_Condition.executed_with_root_target()) | _Condition.will_be_requested()
    ).since_last_handled()
    & ~_Condition.any_deps_missing()
    & ~_Condition.any_deps_in_progress()
    & ~_Condition.in_progress()
).with_label("changed data upstream")
