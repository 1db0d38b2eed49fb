"""Files behind HTTP: what is asked again, what is not, and that nothing becomes no data."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from cropcube.demo.granule import Granule
from cropcube.domain.lattice import Lattice, PixelBox
from cropcube.domain.scene import Scene
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import ReadError
from cropcube.observations.choose import reader_for
from cropcube.observations.files import Access, SceneFiles
from cropcube.observations.reader import ReadCounts, Reader
from cropcube.observations.retry import Retry
from cropcube.observations.warped import read_warped
from tests.support.file_server import FileServer, serve_files
from tests.support.granules import LEFT_M, TOP_M, random_granule, scene_of

BOX = Lattice.utm(31, True).box_of_bounds((LEFT_M, TOP_M - 3840, LEFT_M + 3840, TOP_M), 10)
ELSEWHERE = Lattice.of_epsg(3035).box_of_bounds((3_936_000, 3_160_000, 3_937_000, 3_161_000), 10)


@dataclass
class Remote:
    """A scene whose files lie behind a server."""

    server: FileServer
    scene: Scene
    granule: Granule
    waits: list[float] = field(default_factory=list)

    def reader(self, verify: bool = False, access: Access | None = None) -> Reader:
        return reader_for(SENTINEL2, verify, Retry(sleep=self.waits.append), access or plain())

    @property
    def file(self) -> Path:
        return self.server.folder / "remote" / "B04.tif"


def plain(**options: str) -> Access:
    return Access(lambda href: href, lambda href: options)


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    granule = random_granule("remote", size_px=384, bands=["B04"])
    scene = scene_of(granule, tmp_path)
    with serve_files(tmp_path) as server:
        assets = {band: replace(asset, href=f"{server.url}/remote/{band}.tif") for band, asset in scene.assets.items()}
        yield Remote(server, replace(scene, assets=assets), granule)


def test_plain_read(remote: Remote) -> None:
    reader = remote.reader()
    np.testing.assert_array_equal(reader.read(remote.scene, "B04", BOX), remote.granule.bands["B04"])
    assert remote.waits == []
    assert reader.counts.retries == 0


@pytest.mark.parametrize("status", [503, 429, 500, 502, 504])
def test_success_after_refusals(remote: Remote, status: int) -> None:
    remote.server.answers["B04.tif"] = [status, status]
    reader = remote.reader()
    np.testing.assert_array_equal(reader.read(remote.scene, "B04", BOX), remote.granule.bands["B04"])
    assert [code for _, _, code in remote.server.requests][:2] == [status, status]
    assert reader.counts.retries == len(remote.waits) >= 1


def test_server_that_never_recovers(remote: Remote) -> None:
    remote.server.answers["B04.tif"] = [503] * 100
    with pytest.raises(ReadError, match="HTTP 503") as caught:
        remote.reader().read(remote.scene, "B04", BOX)
    assert caught.value.transient
    assert remote.waits == [1.0, 2.0, 4.0, 8.0]


def test_refusal_in_the_middle_of_a_file(remote: Remote) -> None:
    """The header is read, the pixels are refused."""
    remote.server.answers["B04.tif"] = [0, 0, 0, 503, 503, 503]
    reader = remote.reader()
    np.testing.assert_array_equal(reader.read(remote.scene, "B04", BOX), remote.granule.bands["B04"])
    assert 503 in [code for _, _, code in remote.server.requests]


def test_refused_header(remote: Remote) -> None:
    """GDAL says no more than that the file is not recognised."""
    remote.server.answers["B04.tif"] = [0, 0, 503, 503]
    reader = remote.reader()
    np.testing.assert_array_equal(reader.read(remote.scene, "B04", BOX), remote.granule.bands["B04"])
    assert remote.waits == [1.0]


def test_page_instead_of_a_raster(remote: Remote) -> None:
    remote.file.write_text("<html>no such thing</html>", encoding="utf-8")
    with pytest.raises(ReadError, match="starts with b'<html>") as caught:
        remote.reader().read(remote.scene, "B04", BOX)
    assert not caught.value.transient
    assert remote.waits == []


def test_missing_file_is_asked_for_once(remote: Remote) -> None:
    remote.file.unlink()
    with pytest.raises(ReadError, match="not there") as caught:
        remote.reader().read(remote.scene, "B04", BOX)
    assert not caught.value.transient
    assert remote.waits == []


def test_missing_file_is_no_no_data_through_stackstac(remote: Remote) -> None:
    """stackstac by itself turns a 404 into no data without a word."""
    with SceneFiles(SENTINEL2, access=plain()).opened(remote.scene, "B04") as file:
        gone = replace(file, path=f"{remote.server.url}/remote/gone.tif")
        with pytest.raises(ReadError, match="404") as caught:
            read_warped(gone, BOX, ReadCounts())
    assert not caught.value.transient


def test_stackstac_retries_too(remote: Remote) -> None:
    remote.server.answers["B04.tif"] = [503, 0, 0, 503, 503, 503]
    found = remote.reader().read(remote.scene, "B04", ELSEWHERE)
    assert found.shape == ELSEWHERE.shape
    assert len(remote.waits) >= 1


def test_expired_token_is_renewed(remote: Remote) -> None:
    remote.server.token = "new"
    tokens = iter(["old", "new", "new"])
    forgotten: list[str] = []
    access = Access(lambda href: f"{href}?sig={next(tokens)}", lambda href: {}, forgotten.append)
    reader = remote.reader(access=access)
    np.testing.assert_array_equal(reader.read(remote.scene, "B04", BOX), remote.granule.bands["B04"])
    assert remote.waits == [1.0]
    assert forgotten == [remote.scene.assets["B04"].href]


def test_token_stays_out_of_messages(remote: Remote) -> None:
    remote.server.token = "new"
    access = Access(lambda href: f"{href}?sig=SECRET", lambda href: {}, lambda href: None)
    with pytest.raises(ReadError, match="perhaps an expired token") as caught:
        remote.reader(access=access).read(remote.scene, "B04", BOX)
    assert "SECRET" not in str(caught.value)


def test_refusal_without_a_token_is_final(remote: Remote) -> None:
    remote.server.token = "new"
    with pytest.raises(ReadError, match="refused") as caught:
        remote.reader().read(remote.scene, "B04", BOX)
    assert not caught.value.transient
    assert remote.waits == []


def test_slow_server_is_a_passing_failure(remote: Remote) -> None:
    remote.server.delay_s = 3.0
    reader = reader_for(SENTINEL2, retry=Retry(attempts=1), access=plain(GDAL_HTTP_TIMEOUT="1"))
    with pytest.raises(ReadError) as caught:
        reader.read(remote.scene, "B04", BOX)
    assert caught.value.transient


def test_server_that_is_gone(remote: Remote) -> None:
    asset = replace(remote.scene.assets["B04"], href="http://127.0.0.1:9/remote/B04.tif")
    with pytest.raises(ReadError, match="connection failed") as caught:
        remote.reader().read(replace(remote.scene, assets={"B04": asset}), "B04", BOX)
    assert caught.value.transient
    assert len(remote.waits) == 4


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(byte ^ 0x5A for byte in content[middle : middle + 400])
    path.write_bytes(bytes(content))


def test_verify_finds_overwritten_bytes(remote: Remote) -> None:
    damage(remote.file)
    with pytest.raises(ReadError, match=r"sha256 .* its item states") as caught:
        remote.reader(verify=True).read(remote.scene, "B04", BOX)
    assert not caught.value.transient


def test_verify_reads_the_same_pixels(remote: Remote) -> None:
    remote.server.answers["B04.tif"] = [503]
    found = remote.reader(verify=True).read(remote.scene, "B04", BOX)
    np.testing.assert_array_equal(found, remote.granule.bands["B04"])
    assert remote.waits == [1.0]
    whole = [request for request in remote.server.requests if request == ("GET", "/remote/B04.tif", 200)]
    assert len(whole) == 1


def test_verify_finds_a_short_file(remote: Remote) -> None:
    remote.file.write_bytes(remote.file.read_bytes()[:-100])
    with pytest.raises(ReadError, match="bytes; its item states"):
        remote.reader(verify=True).read(remote.scene, "B04", BOX)


def test_boxes_lie_where_the_test_thinks(remote: Remote) -> None:
    """The other lattice's box overlaps the granule, so that a read through stackstac returns pixels."""
    assert isinstance(ELSEWHERE, PixelBox)
    assert remote.reader().read(remote.scene, "B04", ELSEWHERE).any()


def test_server_that_is_down_holds_no_task_up(remote: Remote) -> None:
    """After three files that used up all attempts the others get one each, until one succeeds."""
    remote.server.answers["B04.tif"] = [503] * 200
    reader = remote.reader()
    for _ in range(5):
        with pytest.raises(ReadError):
            reader.read(remote.scene, "B04", BOX)
    assert len(remote.waits) == 3 * 4
    remote.server.answers["B04.tif"] = []
    reader.read(remote.scene, "B04", BOX)
    remote.server.answers["B04.tif"] = [503, 503]
    reader.read(remote.scene, "B04", BOX)
    assert len(remote.waits) > 3 * 4
