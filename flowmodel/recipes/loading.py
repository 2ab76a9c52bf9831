"""Reading recipes and selections, with errors that name the file and the field."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from flowmodel.errors import FlowmodelError
from flowmodel.recipes.networks import NETWORKS, network_kind
from flowmodel.recipes.renamed import RECIPES, SCORES, warn_renamed, with_current_names
from flowmodel.recipes.schema import Recipe
from flowmodel.settings_yaml import load_yaml

_HERE = Path(str(files("flowmodel.recipes")))


def recipe_names() -> list[str]:
    return sorted(path.stem for path in _HERE.glob("*.yaml"))


def load_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """Load the recipe called `name` (or the YAML file at path `name`) and apply overrides like `training.steps=100`.

    Raises FlowmodelError when there is no such recipe, or a field is unknown or has an invalid value.
    """
    if name in RECIPES:
        warn_renamed(f"recipe '{name}'", f"'{RECIPES[name]}'")
        name = RECIPES[name]
    path = Path(name) if name.endswith((".yaml", ".yml")) else _HERE / f"{name}.yaml"
    try:
        values = load_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FlowmodelError(
            f"recipe '{name}': no such recipe; there are {', '.join(recipe_names())}, or name a .yaml file"
        ) from None
    except yaml.YAMLError as error:
        raise FlowmodelError(f"{path}: not valid YAML ({str(error).replace(chr(10), ' ')})") from None
    if not isinstance(values, dict):
        raise FlowmodelError(f"{path}: a recipe is a mapping of sections, not {type(values).__name__}")
    values = _with_current_names(values, str(path))
    for override in overrides:
        _apply(values, override)
    for number, metric in enumerate(_gate_metrics(values)):
        if metric in SCORES:
            warn_renamed(f"{path}: evaluation.gate.rules.{number}.metric: {metric}", SCORES[metric])
    return parse_recipe(_with_current_names(values, str(path)), where=str(path))


def parse_recipe(values: Mapping[str, Any], where: str) -> Recipe:
    """Validate `values`; raises FlowmodelError that names `where`, the field, what is wrong and what is allowed."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        problems = []
        for item in error.errors():
            # pydantic inserts the network's kind into the path, as in network.unet.channels.
            kind = item["loc"][1] if item["loc"][:1] == ("network",) and len(item["loc"]) > 1 else None
            path = [str(part) for part in item["loc"] if part is not kind]
            field = ".".join(path) or "recipe"
            if item["type"] == "union_tag_invalid":
                problems.append(f"{field}.kind: unknown network {item['ctx']['tag']!r}; there are {item['ctx']['expected_tags']}")
            elif item["type"] == "extra_forbidden":
                problems.append(f"{field}: unknown field{_siblings(path[:-1], kind)}")
            elif item["type"] == "missing":
                problems.append(f"{field}: missing; it is required")
            elif item["type"] == "string_pattern_mismatch":  # only a recipe's name has a pattern
                problems.append(f"{field}: must consist of lowercase letters, digits, - and _, got {item['input']!r}")
            else:
                message = item["msg"].removeprefix("Value error, ")
                if isinstance(item["input"], dict):  # a section with inconsistent fields; the message begins with a field
                    problems.append(f"{field}.{message}" if path else message)
                else:
                    problems.append(f"{field}: {message}, got {item['input']!r}")
        raise FlowmodelError(f"{where}: {'; '.join(problems)}") from None


def _siblings(sections: Sequence[str], kind: object) -> str:
    return f" (known: {', '.join(_model_of(sections, kind).model_fields)})"


def _model_of(sections: Sequence[str], kind: object) -> Any:
    """The class of the section at a path; `kind` is the network's kind."""
    model: Any = Recipe
    for section in sections:
        if section.isdigit():  # index in the list of rules
            model = get_args(model)[0]
        elif section == "network":
            model = next(network for network in NETWORKS if network.model_fields["kind"].default == kind)
        else:
            model = model.model_fields[section].annotation
            if NoneType in get_args(model):
                model = get_args(model)[0]
    return model


def _section_of(values: Mapping[str, Any], section: str) -> Any:
    """The class of a section; None if there is no such section or network."""
    if section != "network":
        return _model_of([section], None) if section in Recipe.model_fields else None
    network = values.get(section)
    kind = network_kind(network if isinstance(network, dict) else {})
    return next((model for model in NETWORKS if model.model_fields["kind"].default == kind), None)


def _with_current_names(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The recipe's `values` with current field names; logs a warning for each old name."""
    current = dict(values)
    for section, fields in values.items():
        renamed = getattr(_section_of(values, section), "renamed", {})
        if not isinstance(fields, dict) or not renamed.keys() & fields.keys():
            continue
        for old in fields:
            if old in renamed:
                warn_renamed(f"{where}: {section}.{old}", f"{section}.{renamed[old]}")
        try:
            current[section] = with_current_names(fields, renamed)
        except ValueError as error:
            raise FlowmodelError(f"{where}: {section}.{error}") from None
    return current


def _gate_metrics(values: Any) -> list[Any]:
    """The metrics of the gate's rules. Malformed rules are skipped here and reported by validation."""
    for section in ("evaluation", "gate", "rules"):
        values = values.get(section) if isinstance(values, dict) else None
    return [rule.get("metric") if isinstance(rule, dict) else None for rule in values] if isinstance(values, list) else []


def _apply(values: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise FlowmodelError(f"--set {override}: write it as field.path=value, for example training.steps=2000")
    *sections, last = path.split(".")
    target = values
    for section in sections:
        nested = target.setdefault(section, {})
        if not isinstance(nested, dict):
            raise FlowmodelError(f"--set {override}: '{section}' is a value, not a section")
        target = nested
    renamed = getattr(_section_of(values, sections[0]), "renamed", {}) if len(sections) == 1 else {}
    if last in renamed:
        warn_renamed(f"--set {override}: {path}", f"{sections[0]}.{renamed[last]}")
        last = renamed[last]
    try:
        target[last] = load_yaml(text)
    except yaml.YAMLError:
        raise FlowmodelError(f"--set {override}: '{text}' is not a YAML value") from None


def load_selection(name: str) -> list[str]:
    """Read icon keys (hexcode or slug) from `recipes/selections/NAME.txt`, or from the file at path `name`.

    Each line has one key; text after whitespace is a comment. Raises FlowmodelError when there is no such list or it is empty.
    """
    path = Path(name) if name.endswith(".txt") else _HERE / "selections" / f"{name}.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        known = sorted(p.stem for p in (_HERE / "selections").glob("*.txt"))
        raise FlowmodelError(
            f"data.selection '{name}': no such list; there are {', '.join(known)}, or name a .txt file"
        ) from None
    keys = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise FlowmodelError(f"{path}: the list is empty; write one icon key per line")
    return keys
