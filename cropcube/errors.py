"""The exception tree.

Every error says what happened, which thing it happened to and what to do next, is also a builtin exception (so that
callers without cropcube's types can catch it) and survives pickling (so that it crosses process borders whole).
"""

from __future__ import annotations


class CropcubeError(Exception):
    """Root of the tree.

    Parameters
    ----------
    what
        What went wrong, naming the file, scene, option or tile.
    next_step
        What the user can do about it; printed on a line of its own by the command line.
    """

    def __init__(self, what: str, next_step: str = "") -> None:
        super().__init__(what, next_step)
        self.what = what
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.what}\n{self.next_step}" if self.next_step else self.what


class InvalidInputError(CropcubeError, ValueError):
    """A value, file content or option that cannot be used."""


class UsageError(InvalidInputError):
    """Options that do not go together, or are not of the form they must have; the command line ends with 2."""


class MissingError(CropcubeError, LookupError):
    """A file, project, product, region or scene that is not there."""


class CatalogError(CropcubeError, ConnectionError):
    """A catalogue that cannot be reached or answers nonsense."""


class ConflictError(CropcubeError, RuntimeError):
    """The project was created with another specification than the one asked for."""


class ResourceError(CropcubeError, MemoryError):
    """The work does not fit the memory or the disk; raised before the first read, with the numbers."""


class IncompleteError(CropcubeError, RuntimeError):
    """Work ended with failures beyond the stated budget; what was done is kept."""


class ModelMismatchError(CropcubeError, ValueError):
    """A model whose features, bands or legend do not fit the cube."""


class LayoutError(CropcubeError, ValueError):
    """A write that does not own whole shards, or a store laid out differently than asked."""


class MissingExtraError(CropcubeError, ImportError):
    """A verb that needs an optional dependency which is not installed."""


class ReadError(CropcubeError, OSError):
    """Pixels of one asset that could not be read.

    Parameters
    ----------
    what
        Which asset failed, and how.
    next_step
        What the user can do about it.
    transient
        Whether a later attempt may succeed (time-out, HTTP 429 or 5xx, expired token), as against a missing or
        corrupt file.
    """

    def __init__(self, what: str, next_step: str = "", transient: bool = False) -> None:
        super().__init__(what, next_step)
        self.args = (what, next_step, transient)
        self.transient = transient
