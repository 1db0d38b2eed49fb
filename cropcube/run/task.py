"""A unit of work and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from cropcube.errors import CropcubeError

P = TypeVar("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Task(Generic[P]):
    """One unit of work; small, since it travels to a worker."""

    key: str
    "Unique within a run; names the task in messages and in the ledger."
    payload: P
    memory_bytes: int = 0
    "Projected peak."


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """What came of a task; exactly one of `result` and `error` is set."""

    key: str
    result: R | None
    error: CropcubeError | None
    seconds: float
    peak_bytes: int
    "Largest resident size so far of the process that ran it."
    is_passing: bool = False
    "Whether the error is one that another try may not meet."
    is_suspect: bool = False
    "Whether its worker process died again and again, of it or of one that it ran beside."
    tries: int = 1
    "How often it was started; by this loop, not counting those that a dying worker took with it."
