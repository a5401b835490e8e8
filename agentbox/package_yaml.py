"""The YAML files that come with the package: by libyaml, where PyYAML was built with it, in an eighth of the time."""

from __future__ import annotations

from importlib.resources.abc import Traversable
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(file: Traversable) -> Any:
    """Its plain values. Raises `OSError`, `yaml.YAMLError`."""
    return yaml.load(file.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - a safe one
