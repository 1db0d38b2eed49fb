"""Transient failures are repeated a bounded number of times, with growing waits."""

import pytest

from cropcube.errors import ReadError
from cropcube.observations.retry import Retry


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, failures: int, transient: bool = True) -> None:
        self.calls, self.failures, self.transient = 0, failures, transient

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise ReadError(f"failure {self.calls}", transient=self.transient)
        return "pixels"


def test_success_after_failures() -> None:
    waits: list[float] = []
    flaky, told = Flaky(3), []
    assert Retry(sleep=waits.append).call(flaky, told.append) == "pixels"
    assert waits == [1.0, 2.0, 4.0]
    assert [error.what for error in told] == ["failure 1", "failure 2", "failure 3"]


def test_attempts_are_bounded() -> None:
    waits: list[float] = []
    flaky = Flaky(99)
    with pytest.raises(ReadError, match="failure 5"):
        Retry(sleep=waits.append).call(flaky)
    assert flaky.calls == 5
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_waits_are_bounded() -> None:
    waits: list[float] = []
    with pytest.raises(ReadError):
        Retry(attempts=9, longest_wait_s=5.0, sleep=waits.append).call(Flaky(99))
    assert max(waits) == 5.0


def test_lasting_failures_are_not_repeated() -> None:
    flaky = Flaky(1, transient=False)
    with pytest.raises(ReadError, match="failure 1"):
        Retry(sleep=lambda seconds: pytest.fail("waited")).call(flaky)
    assert flaky.calls == 1
