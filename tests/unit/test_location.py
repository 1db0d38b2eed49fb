"""Object stores as folders: the same answers as the file system's, on moto's S3 endpoint."""

import io
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cropcube import location as module
from cropcube.errors import InvalidInputError
from cropcube.location import ObjectPath, location
from tests.support.object_store import KEY, SECRET, object_store

FILES = {"a/b/one": b"1", "a/b/two": b"22" * 1000, "a/c": b"", "a/b-c": b"4", "z": b"\x00\xff"}


@pytest.fixture(scope="module")
def store():
    with pytest.MonkeyPatch.context() as environment, object_store(environment) as running:
        yield running


@pytest.fixture(autouse=True)
def answering(store):
    store.fails = None
    store.asked.clear()


@pytest.fixture
def both(store, tmp_path):
    """The same files in a folder and in a bucket."""
    bucket = store.bucket() / "below"
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        (bucket / name).write([content[:1], content[1:]])
    return tmp_path, bucket


def assert_same_below(folder, bucket, at):
    here, there = (root.joinpath(*at.split("/")) if at else root for root in (folder, bucket))
    assert (here.exists(), here.is_file(), here.is_dir()) == (there.exists(), there.is_file(), there.is_dir()), at
    assert here.relative_to(folder).as_posix() == there.relative_to(bucket).as_posix()
    assert (here.name, here.stem) == (there.name, there.stem) or not at
    assert (here / "x").parent == here
    assert (there / "x").parent == there
    if here.is_dir():
        assert sorted(path.name for path in here.iterdir()) == [path.name for path in there.iterdir()]
    if here.is_file():
        assert here.read_bytes() == there.read_bytes()
        assert here.stat().st_size == there.size()
        assert there.read_tail(3) == here.read_bytes()[-3:]


def test_paths_answer_as_those_of_the_file_system(both):
    for at in ("", "a", "a/b", "a/b/one", "a/b/two", "a/b/t", "a/b-c", "a/none", "z", "a/b/one/x"):
        assert_same_below(*both, at)
    assert dict(both[1].below()) == {name: len(content) for name, content in FILES.items()}
    assert both[1].parents == (ObjectPath(both[1].bucket),)
    assert str(both[1] / "a/b") == f"{both[1].bucket}/below/a/b"


def test_objects_are_put_whole_and_only_where_none_stands(both):
    path = both[1] / "z"
    with pytest.raises(FileExistsError, match="there is such an object"):
        path.write([b"new"], replace=False)
    assert path.read_bytes() == FILES["z"]
    path.write([b"n", b"ew"])
    assert path.read_text() == "new"
    (both[1] / "fresh").write([b"1"], replace=False)
    assert (both[1] / "fresh").read_bytes() == b"1"


def test_objects_are_copied_and_removed(both):
    folder, bucket = both
    (bucket / "z").copy_to(bucket / "y")
    assert (bucket / "y").read_bytes() == FILES["z"]
    (bucket / "z").unlink()
    (bucket / "z").unlink(missing_ok=True)
    (folder / "z").unlink()
    for path in (folder / "z", bucket / "z"):
        with pytest.raises(FileNotFoundError):
            path.unlink()
        with pytest.raises(FileNotFoundError):
            path.read_bytes()


def test_an_object_is_read_as_a_file(both):
    path = both[1] / "table"
    sink = io.BytesIO()
    pq.write_table(pa.table({"number": list(range(50_000))}), sink)
    path.write([sink.getvalue()])
    assert pq.ParquetFile(path.open_reader()).read(["number"])["number"].to_pylist() == list(range(50_000))
    with path.open_reader() as file:
        file.seek(-4, io.SEEK_END)
        assert file.read() == b"PAR1"
        assert file.read() == b""
    assert [bytes(part) for part in path.read_parts([0, 2], [4, 2])] == [b"PAR1", b"R1"]
    with pytest.raises(FileNotFoundError):
        (both[1] / "none").open_reader()


def test_a_path_travels_without_credentials(both):
    both[1].exists()
    sent = pickle.dumps(both[1])
    assert pickle.loads(sent) == both[1]
    assert SECRET.encode() not in sent
    assert len(sent) < 200


def test_answers_of_a_bad_day_are_asked_for_again(both, store):
    store.fails = lambda number: ("503 Slow Down", "SlowDown") if number % 3 != 2 else None
    assert (both[1] / "a/b/one").read_bytes() == b"1"
    (both[1] / "new").write([b"x"])
    assert (both[1] / "new").size() == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("403 Forbidden", "InvalidAccessKeyId", PermissionError),
        ("400 Bad Request", "ExpiredToken", OSError),
        ("404 Not Found", "NoSuchBucket", OSError),
    ],
)
def test_what_a_store_refuses_is_said_without_a_key(both, store, status, code, kind):
    store.fails = lambda number: (status, code)
    for act in (both[1].read_bytes, lambda: list(both[1].below()), lambda: both[1].write([b"1"])):
        with pytest.raises(OSError, match=r"store|bucket") as raised:
            act()
        assert isinstance(raised.value, kind)
        assert not isinstance(raised.value, FileNotFoundError)
        assert raised.value.filename == str(both[1])
        assert KEY not in str(raised.value)
        assert raised.value.__suppress_context__


def test_a_store_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr(module, "RETRIES", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(OSError, match=r"cannot be used \(error sending request\)"):
        ObjectPath("s3://fields-of-nowhere", "x").read_bytes()


def test_places_are_parsed():
    assert location("folder/x") == Path("folder/x")
    assert location(Path("/a")) == Path("/a")
    assert location("s3://fields/a/b/") == ObjectPath("s3://fields", "a/b")
    assert location("az://fields") == ObjectPath("az://fields")
    assert location(ObjectPath("gs://fields")) == ObjectPath("gs://fields")


@pytest.mark.parametrize(
    "text", ["http://host/x", "s3://", "s3:///x", "s3://a/../b", "s3://a/b?sig=secret", "S3://a", "file:///x"]
)
def test_other_places_are_refused(text):
    with pytest.raises(InvalidInputError) as raised:
        location(text)
    assert "secret" not in str(raised.value)


def test_credentials_in_a_url_are_refused_and_not_repeated():
    with pytest.raises(InvalidInputError, match="credentials") as raised:
        location("s3://key:secret@fields/x")
    assert "secret" not in str(raised.value)
