"""YAML for settings files: only `true` and `false` are booleans, as in YAML 1.2.

In YAML 1.1, which PyYAML implements, `compile: off` and the language code `no` are booleans too.
"""

from typing import Any

import yaml

_BOOLEAN = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):
    pass


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN or first in "tTfF"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_yaml(text: str) -> Any:
    """Parse the document `text`. Raises yaml.YAMLError when it is not valid YAML."""
    return yaml.load(text, _Loader)  # a SafeLoader
