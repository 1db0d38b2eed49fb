"""Failures by class: which are worth asking again. The messages are those of GDAL 3.10 and curl."""

import pickle

import pytest

from cropcube.errors import ReadError
from cropcube.observations.failures import read_error

URL = "https://example.org/a/B04.tif"


def judged(said: str, href: str = URL, signed: bool = False) -> ReadError:
    return read_error("S2_X B04", href, OSError(said), signed)


@pytest.mark.parametrize(
    "said",
    [
        "HTTP response code: 503",
        "HTTP response code: 429 - Failure writing output to destination, passed 388 returned 0",
        "HTTP response code: 500",
        "HTTP response code on https://example.org/a/B04.tif: 502",
        "CURL error: Operation timed out after 120001 milliseconds with 0 out of 0 bytes received",
        "CURL error: Connection timed out after 20000 milliseconds",
        "CURL error: Failed to connect to 127.0.0.1 port 9 after 0 ms: Could not connect to server",
        "CURL error: Could not resolve host: example.org",
        "CURL error: Recv failure: Connection reset by peer",
        "TIFFFillTile:Read error at row 4294967295, col 4294967295, tile 0; got 0 bytes, expected 119266",
        "Please reduce your request rate. SlowDown",
    ],
)
def test_what_may_pass(said: str) -> None:
    assert judged(said).transient


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("HTTP response code: 404 - Failure writing output to destination", "not there"),
        ("HTTP response code: 410", "not there"),
        ("HTTP response code: 403", "refused"),
        ("HTTP response code: 401", "refused"),
        ("HTTP response code: 400", "answered HTTP 400"),
        ("'/vsicurl/x' not recognized as being in a supported file format.", "cannot be read"),
        ("ZIPDecode:Decoding error at scanline 0, incorrect data check", "cannot be read"),
    ],
)
def test_what_will_not_pass(said: str, meaning: str) -> None:
    error = judged(said)
    assert not error.transient
    assert meaning in error.what
    assert error.next_step


def test_refusal_of_a_token_may_pass() -> None:
    assert judged("HTTP response code: 403", signed=True).transient
    assert judged("HTTP response code: 403 - ExpiredToken").transient


def test_local_files_are_never_asked_again() -> None:
    short = "TIFFFillTile:Read error at row 1024, col 1024, tile 10; got 74724 bytes, expected 119232"
    assert not judged(short, "/data/B04.tif").transient
    assert not judged("/data/timeout/B04.tif: No such file or directory", "/data/timeout/B04.tif").transient
    assert not judged("No such file or directory", "/data/HTTP response code: 503/B04.tif").transient


def test_causes_are_looked_at() -> None:
    """rasterio says `Read failed. See previous exception for details.` and hides the reason in the cause."""
    outer = OSError("Read failed. See previous exception for details.")
    outer.__cause__ = OSError("a.tif, band 1: IReadBlock failed")
    outer.__cause__.__cause__ = OSError("HTTP response code: 503")
    assert read_error("S2_X B04", URL, outer).transient


def test_tokens_are_not_in_the_message() -> None:
    error = judged("'/vsicurl/https://h.net/c/B04.tif?sig=SECRET&se=2020' not recognized", signed=True)
    assert "SECRET" not in str(error)
    assert "https://h.net/c/B04.tif" in str(error)


def test_errors_cross_process_borders() -> None:
    error = pickle.loads(pickle.dumps(judged("HTTP response code: 503")))
    assert error.transient
    assert error.what == judged("HTTP response code: 503").what
