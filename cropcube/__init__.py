"""cropcube: from a satellite catalogue to an audited crop-type map.

`cropcube.open(project)` gives the lazy products of a project; the verbs of the command line stand here under their own
names (`cropcube.build(...)`, `cropcube.features(...)`, ...; their typed home is `cropcube.verbs`). Importing this
package imports nothing heavy.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

VERBS = (
    "build", "status", "features", "train", "predict", "evaluate", "export", "extract",
    "regions", "catalogs", "demo", "info",
)  # fmt: skip
PACKAGES_AND_VERBS = ("features", "demo")
"""Subpackages whose names are verbs too: they can be called."""


class _Callable(ModuleType):
    """A subpackage that is a verb as well."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return _verb(self.__name__.rpartition(".")[2])(*arguments, **options)


class _Package(ModuleType):
    """This package: whoever imports `cropcube.features` first, `cropcube.features(...)` stays the verb."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in PACKAGES_AND_VERBS and isinstance(value, ModuleType):
            value.__class__ = _Callable
        super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name in PACKAGES_AND_VERBS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in VERBS:
        return _verb(name)
    if name == "open":
        return importlib.import_module(f"{__name__}.dataset").open
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *VERBS, "open"})


def _verb(name: str) -> Any:
    return getattr(importlib.import_module(f"{__name__}.verbs"), name)


sys.modules[__name__].__class__ = _Package
