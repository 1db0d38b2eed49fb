"""A search that is killed in the middle goes on where it was."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.searches import SPRING, ask, days, ids
from tests.support.stac_server import Fault, serve

SEARCH = """
import sys
from pathlib import Path
from tests.support.searches import ask
ask(sys.argv[1], Path(sys.argv[2]))
"""


def test_killed_in_the_middle_of_an_answer(tmp_path: Path) -> None:
    items = days()
    silence = Fault(delay_s=60.0, searches=(4,))
    with serve(items, page=5, faults=[silence]) as server:
        search = subprocess.Popen(
            [sys.executable, "-c", SEARCH, server.url, str(tmp_path)], cwd=Path(__file__).parents[2]
        )
        try:
            deadline = time.monotonic() + 60
            while server.searches < 4 and time.monotonic() < deadline:
                time.sleep(0.02)
            assert server.searches == 4
        finally:
            search.send_signal(signal.SIGKILL)
            search.wait()
    # February had one empty answer; of March two of four pages were there, which is no answer.
    assert not (tmp_path / "scenes.parquet").exists()
    left = sorted(path.name for path in (tmp_path / "search").iterdir())
    assert len(left) == 2
    assert left[0].endswith(".partial")

    with serve(items, page=5, port=int(server.url.rsplit(":", 1)[1])) as again:
        frozen = ask(again.url, tmp_path)
        assert again.bodies[0]["datetime"] == "2023-03-01T00:00:00Z/2023-04-01T00:00:00Z"
    assert ids(frozen) == sorted(item["id"] for item in items)
    assert [path.name for path in tmp_path.iterdir()] == ["scenes.parquet"]
    assert len(frozen.scenes(range(SPRING.days), SPRING)) == 40
