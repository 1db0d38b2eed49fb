"""Granules fetched over real HTTP: logins, expired tokens, broken connections, failing servers; no secret leaks."""

from __future__ import annotations

import logging
import os
import pickle
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cropcube.catalog import fetching
from cropcube.catalog.earthdata import EarthdataLogin
from cropcube.catalog.emit import parse_item
from cropcube.catalog.search import SearchRequest, freeze
from cropcube.domain.emit import EMIT, FILES
from cropcube.domain.grid import plan_grid
from cropcube.domain.scene import Asset, Scene
from cropcube.errors import ReadError
from cropcube.observations import granule_files, ranges
from cropcube.observations.granule_files import GranuleFiles
from cropcube.observations.retry import Retry
from tests.support.earthdata_server import SIGNATURE, Earthdata, serve_earthdata
from tests.support.emit_granules import cmr_item, file_name, granule_name, write_granule
from tests.support.searches import FLANDERS, SPRING
from tests.support.stac_server import serve

GRANULE = granule_name("20230401T103751")
BOX = (3.8, 50.5, 4.6, 51.2)
SECRETS = ("T0KEN", "pa55word", SIGNATURE, "cGE1NXdvcmQ")
HURRY = Retry(sleep=lambda seconds: None)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Earthdata]:
    """Hosts that have one granule, no login on this machine, and pieces of 1000 bytes."""
    monkeypatch.setattr(fetching, "BACKOFF_S", 0.001)
    monkeypatch.setattr(ranges, "RANGE_BYTES", 1000)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("EARTHDATA_TOKEN", raising=False)
    write_granule(tmp_path / "there", GRANULE, BOX)
    with serve_earthdata(tmp_path / "there") as state:
        yield state


@pytest.fixture
def files(server: Earthdata, tmp_path: Path) -> GranuleFiles:
    """What fetches from them."""
    login = EarthdataLogin(server.urls["login"], frozenset({server.urls["data"]}))
    return GranuleFiles(tmp_path / "scratch", login, HURRY)


@pytest.fixture
def scene(server: Earthdata) -> Scene:
    """The granule as a catalogue has it."""
    return parse_item(cmr_item(GRANULE, BOX, base=f"{server.urls['data']}/lp-prod-protected"))


@pytest.fixture
def signed_in(server: Earthdata, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a token that is good."""
    server.valid = {"T0KEN"}
    monkeypatch.setenv("EARTHDATA_TOKEN", "T0KEN\n")


def use_netrc(text: str = "machine urs.earthdata.nasa.gov login someone password pa55word") -> None:
    """Write the user's netrc."""
    Path(os.environ["NETRC"]).write_text(text + "\n", encoding="utf-8")


def original(server: Earthdata, label: str) -> bytes:
    """Return the bytes of a file."""
    return (server.folder / file_name(label, GRANULE)).read_bytes()


def refused(files: GranuleFiles, scene: Scene, label: str = "RFL") -> ReadError:
    """Return the error of a read, which holds no secret in itself nor in what it was raised from."""
    with pytest.raises(ReadError) as caught:
        files.path(scene, label)
    link: BaseException | None = caught.value
    while link is not None:
        assert not [secret for secret in SECRETS if secret in repr(link) + str(link)]
        link = link.__cause__ or link.__context__
    assert not list(files.folder.glob("*")) + list(files.folder.glob(".*"))
    return caught.value


def test_the_three_files_come_whole_in_pieces_and_only_once(
    server: Earthdata, files: GranuleFiles, scene: Scene, signed_in: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    found = {label: files.path(scene, label) for label in FILES}
    for label, path in found.items():
        assert path.read_bytes() == original(server, label)
    asked = len(server.requests)
    assert {label: files.path(scene, label) for label in FILES} == found
    assert len(server.requests) == asked
    sizes = [len(original(server, label)) for label in FILES]
    assert len(server.seen("storage")) == sum(-(-size // 1000) for size in sizes) > 6
    assert (files.counts.files, files.counts.bytes_read, files.counts.retries) == (3, sum(sizes), 0)
    assert {sent for _, sent, _, _ in server.seen("data")} == {"Bearer T0KEN"}
    assert {sent for _, sent, _, _ in server.seen("storage")} == {None}
    assert not server.seen("login")
    assert "T0KEN" not in caplog.text
    assert "T0KEN" not in "".join(str(path.read_bytes()) for path in files.folder.iterdir())
    files.drop(scene)
    assert not list(files.folder.iterdir())


def test_from_the_search_over_the_frozen_answer_to_the_files(
    server: Earthdata, files: GranuleFiles, signed_in: None, tmp_path: Path
) -> None:
    item = cmr_item(GRANULE, BOX, base=f"{server.urls['data']}/lp-prod-protected")
    with serve([item]) as catalog:
        request = SearchRequest(catalog.url, FLANDERS, SPRING, EMIT)
        frozen = freeze(request, plan_grid(FLANDERS, 768), tmp_path / "scenes-emit.parquet")
    (scene,) = pickle.loads(pickle.dumps(frozen)).scenes(range(SPRING.days), SPRING)
    with files.held(scene, "RFL", "MASK") as held:
        assert {label: path.read_bytes() for label, path in held.items()} == {
            label: original(server, label) for label in ("RFL", "MASK")
        }
    assert not list(files.folder.iterdir())
    assert "T0KEN" not in repr((tmp_path / "scenes-emit.parquet").read_bytes())


def test_an_account_in_netrc_is_told_to_the_login_alone(server: Earthdata, files: GranuleFiles, scene: Scene) -> None:
    server.valid, server.makes = {"T0KEN"}, ["T0KEN"]
    use_netrc()
    assert files.path(scene, "MASK").read_bytes() == original(server, "MASK")
    assert len(server.seen("login")) == 1
    assert all((sent or "").startswith("Basic ") for _, sent, _, _ in server.seen("login"))
    assert {sent for _, sent, _, _ in server.seen("data")} == {"Bearer T0KEN"}


def test_a_token_that_expires_on_the_way_is_made_anew(server: Earthdata, files: GranuleFiles, scene: Scene) -> None:
    server.valid, server.makes = {"T0KEN1"}, ["T0KEN1", "T0KEN2"]
    use_netrc()

    def expire() -> None:
        while len(server.seen("storage")) < 3:
            pass
        server.valid = {"T0KEN2"}

    thread = threading.Thread(target=expire)
    thread.start()
    assert files.path(scene, "RFL").read_bytes() == original(server, "RFL")
    thread.join()
    assert len(server.seen("login")) == 2
    assert files.counts.retries == 1


def test_an_expired_token_of_the_environment_gives_way_to_netrc(
    server: Earthdata, files: GranuleFiles, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.valid, server.makes = {"T0KEN-new"}, ["T0KEN-new"]
    monkeypatch.setenv("EARTHDATA_TOKEN", "T0KEN-old")
    use_netrc()
    assert files.path(scene, "MASK").is_file()


@pytest.mark.parametrize("page", [False, True])
def test_without_a_login_it_is_said_how_to_get_one(
    server: Earthdata, files: GranuleFiles, scene: Scene, page: bool
) -> None:
    server.login_page = page
    error = refused(files, scene)
    assert not error.transient
    assert "needs an Earthdata login" in error.what
    assert "EARTHDATA_TOKEN" in error.next_step
    assert len(server.requests) == 1


@pytest.mark.parametrize("page", [False, True])
def test_an_expired_token_without_netrc_is_told(
    server: Earthdata, files: GranuleFiles, scene: Scene, monkeypatch: pytest.MonkeyPatch, page: bool
) -> None:
    server.login_page = page
    monkeypatch.setenv("EARTHDATA_TOKEN", "T0KEN")
    error = refused(files, scene)
    assert (error.transient, len(server.requests)) == (False, 2)
    assert "the token of EARTHDATA_TOKEN is refused; it may have expired" in error.what


@pytest.mark.parametrize(
    ("given", "netrc", "words"),
    [
        ("T0KEN\r\nHost: evil", None, "no token"),
        ("", "machine urs.earthdata.nasa.gov login someone password wrong", r"refuses the account .*HTTP 401"),
        ("", "machine urs.earthdata.nasa.gov login someone password pa55word pa55word", "not of netrc's form"),
        ("", "default login someone password pa55word", "needs an Earthdata login"),
        ("", "machine elsewhere.org login someone password pa55word", "needs an Earthdata login"),
    ],
)
def test_logins_that_are_no_good_are_told_without_what_is_in_them(
    files: GranuleFiles, scene: Scene, monkeypatch: pytest.MonkeyPatch, given: str, netrc: str | None, words: str
) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", given)
    if netrc is not None:
        use_netrc(netrc)
    error = refused(files, scene)
    assert not error.transient
    assert re.search(words, error.what)


def test_a_token_that_stays_refused_ends_the_asking(server: Earthdata, files: GranuleFiles, scene: Scene) -> None:
    server.makes = ["T0KEN"]
    use_netrc()
    assert "is refused, a new one as well" in refused(files, scene).what
    assert len(server.seen("data")) == 2


def test_a_login_that_is_down_is_worth_another_try(server: Earthdata, files: GranuleFiles, scene: Scene) -> None:
    server.login_status = 503
    use_netrc()
    error = refused(files, replace(scene), "MASK")
    assert error.transient
    assert "HTTP 503" in error.what


def test_connections_that_break_off_are_gone_on_with_where_they_broke(
    server: Earthdata, files: GranuleFiles, scene: Scene, signed_in: None
) -> None:
    server.breaks = [100, 0, 999, 1, 500]
    assert files.path(scene, "RFL").read_bytes() == original(server, "RFL")
    assert files.counts.retries == 4
    asked = [wanted for _, _, wanted, _ in server.seen("storage")]
    assert asked[:3] == ["bytes=0-999", "bytes=100-1099", "bytes=1100-2099"]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_tenth_of_failing_answers_is_ridden_out(
    server: Earthdata, files: GranuleFiles, scene: Scene, signed_in: None, status: int
) -> None:
    server.every_tenth = status
    for label in FILES:
        assert files.path(scene, label).read_bytes() == original(server, label)
    assert files.counts.retries > 2


def test_a_server_that_keeps_failing_is_given_up_and_nothing_stays(
    server: Earthdata, files: GranuleFiles, scene: Scene, signed_in: None
) -> None:
    server.breaks = [10] * 5
    error = refused(files, scene)
    assert error.transient
    assert "the connection failed after 50 bytes" in error.what
    assert files.path(scene, "RFL").is_file()  # the next try is a new one


def test_a_server_without_ranges_is_read_whole(
    server: Earthdata, files: GranuleFiles, scene: Scene, signed_in: None
) -> None:
    server.ranges, server.breaks = False, [1500]
    assert files.path(scene, "RFL").read_bytes() == original(server, "RFL")
    assert len(server.seen("storage")) == 2


def test_two_versions_of_a_file_are_not_joined(
    server: Earthdata, files: GranuleFiles, scene: Scene, signed_in: None
) -> None:
    server.etags = ['"zero"', '"zero"']
    assert files.path(scene, "RFL").read_bytes() == original(server, "RFL")
    assert [wanted for _, _, wanted, _ in server.seen("storage")].count("bytes=0-999") == 2


def test_a_file_that_is_not_there_is_not_asked_for_again(
    server: Earthdata, files: GranuleFiles, scene: Scene, signed_in: None
) -> None:
    (server.folder / file_name("MASK", GRANULE)).unlink()
    error = refused(files, scene, "MASK")
    assert (error.transient, len(server.seen("storage"))) == (False, 1)
    assert "not there (HTTP 404)" in error.what


@pytest.mark.parametrize(
    ("content", "words"), [(b"<!DOCTYPE html>", "is no HDF5 file"), (None, "is cut short"), (b"", "is no HDF5 file")]
)
def test_what_comes_is_looked_at_before_it_is_taken(
    server: Earthdata, files: GranuleFiles, scene: Scene, signed_in: None, content: bytes | None,
    words: str,
) -> None:  # fmt: skip
    server.ranges = content != b""
    whole = original(server, "RFL")
    (server.folder / file_name("RFL", GRANULE)).write_bytes(whole[:-500] if content is None else content)
    error = refused(files, scene)
    assert not error.transient
    assert words in error.what
    assert scene.assets["RFL"].href in error.what
    assert str(files.folder) not in error.what


def test_redirects_do_not_carry_the_token_to_other_hosts(
    server: Earthdata, files: GranuleFiles, scene: Scene, signed_in: None
) -> None:
    server.redirect_to = f"{server.urls['storage']}/elsewhere"
    refused(files, scene)
    assert {sent for _, sent, _, _ in server.seen("storage")} == {None}
    server.redirect_to = "ftp://example.org/x"
    assert "redirects to ftp" in refused(files, scene).what
    server.redirect_to = f"{server.urls['data']}/round"
    assert "more than 8 redirects" in refused(files, scene).what


@pytest.mark.parametrize(
    ("url", "is_sent"),
    [
        ("https://data.lpdaac.earthdatacloud.nasa.gov/x", True),
        ("https://e4ftl01.earthdata.nasa.gov/x", True),
        ("http://data.lpdaac.earthdatacloud.nasa.gov/x", False),
        ("https://data.earthdata.nasa.gov.example.org/x", False),
        ("https://notearthdata.nasa.gov/x", False),
        ("https://data.earthdata.nasa.gov@example.org/x", False),
        ("https://d1nklfio7vscoe.cloudfront.net/x", False),
        ("http://127.0.0.1:9/x", False),
    ],
)
def test_the_token_is_sent_to_nasa_over_https_only(url: str, is_sent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "T0KEN")
    assert EarthdataLogin().authorization(url) == ("Bearer T0KEN" if is_sent else None)


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(
    server: Earthdata, files: GranuleFiles, scene: Scene, signed_in: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = granule_files.shutil.disk_usage(files.folder.parent)
    monkeypatch.setattr(granule_files.shutil, "disk_usage", lambda path: usage._replace(free=100))
    assert "0 MB are free at" in refused(files, scene).what
    assert len(server.seen("storage")) == 1


def test_local_files_are_taken_where_they_lie_and_never_dropped(tmp_path: Path) -> None:
    paths = write_granule(tmp_path, GRANULE, BOX)
    local = {label: Asset(str(path), size=path.stat().st_size) for label, path in paths.items()}
    scene = replace(parse_item(cmr_item(GRANULE, BOX)), assets=local)
    files = GranuleFiles(tmp_path / "scratch", EarthdataLogin(), HURRY)
    with files.held(scene, "RFL", "MASK") as held:
        assert held == {label: paths[label] for label in ("RFL", "MASK")}
    assert paths["RFL"].is_file()
    paths["RFL"].write_bytes(paths["RFL"].read_bytes()[:-10])
    with pytest.raises(ReadError, match=r"bytes; its item states"):
        files.path(scene, "RFL")
    paths["MASK"].unlink()
    with pytest.raises(ReadError, match="no such file"):
        files.path(scene, "MASK")
    with pytest.raises(ReadError, match="has no band RFLUNCERT"):
        files.path(replace(scene, assets={}), "RFLUNCERT")


def test_what_tasks_leave_each_other_may_be_deleted_by_any_of_them(
    signed_in: None, server: Earthdata, files: GranuleFiles, scene: Scene, tmp_path: Path
) -> None:
    """Files are links of their own; what is there of another size is not believed."""
    one, other = (GranuleFiles(tmp_path / name, files.login, HURRY, shared=tmp_path / "shared") for name in "ab")
    wanted = original(server, "MASK")
    assert one.path(scene, "MASK").read_bytes() == wanted
    asked = len(server.seen("data"))
    held = other.path(scene, "MASK")
    assert len(server.seen("data")) == asked
    one.drop(scene)
    one.trim(0)
    assert not list((tmp_path / "shared").iterdir())
    assert held.read_bytes() == wanted
    (tmp_path / "shared" / held.name).write_bytes(b"left by a build that was killed")
    third = GranuleFiles(tmp_path / "c", files.login, HURRY, shared=tmp_path / "shared")
    assert third.path(scene, "MASK").read_bytes() == wanted
    assert len(server.seen("data")) > asked
    for each in (other, third):
        each.drop(scene)
    assert not list((tmp_path / "c").iterdir())
