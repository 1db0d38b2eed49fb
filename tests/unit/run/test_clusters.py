"""What the packages are asked for that start clusters, and what is said where they cannot."""

from __future__ import annotations

from typing import Any

import pytest

from cropcube.errors import InvalidInputError, MissingError, MissingExtraError
from cropcube.run import clusters
from cropcube.run.clusters import started_cluster
from cropcube.run.options import RunOptions

GIB = 2**30
ASKED: list[Any] = []


class StandIn:
    """Notes what it is asked for; `wrong` is raised."""

    def __init__(self, wrong: Exception | None = None, **words: Any) -> None:
        if wrong is not None:
            raise wrong
        ASKED.append(words)

    def adapt(self, **words: int) -> None:
        ASKED.append(words)

    def scale(self, workers: int) -> None:
        ASKED.append(workers)

    def close(self) -> None:
        ASKED.append("closed")


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    ASKED.clear()
    for kind in ("cuda", "kubernetes"):
        monkeypatch.setitem(clusters.CLASSES, kind, (__name__, "StandIn", "gpu"))


def asked(options: RunOptions) -> list[Any]:
    with started_cluster(options):
        pass
    return ASKED


def test_kubernetes_is_asked_for_pods_and_they_are_closed() -> None:
    options = RunOptions("kubernetes", 2, 4 * GIB, cluster_options={"image": "fields/cropcube", "name": "india"})
    first, *rest = asked(options)
    limit = {"memory": str(4 * GIB)}
    assert first == {
        "name": "india", "n_workers": 2, "quiet": True, "image": "fields/cropcube",
        "resources": {"requests": limit, "limits": limit},
    }  # fmt: skip
    assert rest == [2, "closed"]


def test_kubernetes_grows_with_the_work() -> None:
    assert asked(RunOptions("kubernetes", 2, most_workers=40))[1:] == [{"minimum": 2, "maximum": 40}, "closed"]


def test_a_worker_for_each_gpu_with_loopback_addresses() -> None:
    (first, last) = asked(RunOptions("cuda"))
    assert last == "closed"
    assert first["threads_per_worker"] == 1
    assert first["host"] == "127.0.0.1"
    assert first["dashboard_address"] == "127.0.0.1:0"
    assert "n_workers" not in first
    assert "memory_limit" not in first
    assert ["dask_cuda.initialize", *first["preload"]][1:] == ["cropcube.run.worker"]  # as dask-cuda does


@pytest.mark.parametrize(
    ("kind", "wrong", "said", "error"),
    [
        ("cuda", RuntimeError("NVML Shared Library Not Found"), "no NVIDIA GPU answers here", MissingError),
        ("kubernetes", ConnectionError("no kubeconfig"), "no kubernetes answers here", MissingError),
        ("kubernetes", TypeError("unexpected keyword 'imge'"), "does not start: unexpected", InvalidInputError),
    ],
)
def test_what_keeps_them_from_starting_is_said(kind: str, wrong: Exception, said: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=said) as caught:
        asked(RunOptions(kind, cluster_options={"wrong": wrong}))
    assert caught.value.next_step  # type: ignore[attr-defined]


def test_a_missing_package_is_asked_for_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(clusters.CLASSES, "cuda", ("no_such_package", "LocalCUDACluster", "gpu"))
    with pytest.raises(MissingExtraError, match="--cluster cuda needs no-such-package") as caught:
        asked(RunOptions("cuda"))
    assert "cropcube[gpu]" in caught.value.next_step
