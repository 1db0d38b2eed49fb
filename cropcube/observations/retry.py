"""Asking again, a bounded number of times, when a failure may pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cropcube.errors import ReadError

T = TypeVar("T")


@dataclass(frozen=True)
class Retry:
    """How often and after which waits a transient failure is tried again."""

    attempts: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep

    def wait_s(self, attempt: int) -> float:
        """Return the seconds to wait after failed attempt number `attempt` (0 is the first); doubled each time."""
        return float(min(self.first_wait_s * 2**attempt, self.longest_wait_s))

    def call(self, action: Callable[[], T], on_retry: Callable[[ReadError], None] | None = None) -> T:
        """Return what `action` returns, repeating it while it fails transiently.

        Raises
        ------
        ReadError
            The last failure: one that will not pass, or the transient one that used up the attempts.
        """
        attempt = 0
        while True:
            try:
                return action()
            except ReadError as error:
                if not error.transient or attempt + 1 >= self.attempts:
                    raise
                if on_retry is not None:
                    on_retry(error)
            self.sleep(self.wait_s(attempt))
            attempt += 1
