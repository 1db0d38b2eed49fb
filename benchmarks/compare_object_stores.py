"""What a request to an object store costs the client: obstore, which projects are read and written through, and s3fs.

Usage: python benchmarks/compare_object_stores.py [--results FILE]

It needs an environment of its own (`pip install obstore s3fs numpy`): s3fs wants a botocore that moto does not have.

Both ask the same server on the loopback interface, a process of its own that keeps objects in memory, speaks as much of
S3 as is asked here and checks no signature. So it says nothing of any store's speed: what counts is the processor time
of the client for each request, and how many requests a second it can have under way at most. Records are those of the
ledger (1 kB); pieces are chunks read from shards of 16 MiB (64 kB each, 64 in one call); shards are whole ones.
Calls are made one after the other, by the interface without `async`, as the toolkit makes them; pieces are asked for
together by what each library has for that (`get_ranges`, `cat_ranges`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import obstore
import s3fs
from kernel_timing import machine
from obstore.store import S3Store

KIB, MIB = 1 << 10, 1 << 20
RECORDS, PIECES, SHARDS, SHARD, PIECE, REPEATS = 400, 64, 8, 16 * MIB, 64 * KIB, 5
BUCKET = "fields"


class Server:
    """Objects in memory, by HTTP/1.1 with connections kept."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").split("\r\n")
                fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                method, target, _ = first.split(" ")
                if "expect" in fields:
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                status, more, answer = self.answer(method, target.partition("?")[0], fields, body)
                length = more.pop("content-length", str(len(answer)))
                words = "".join(f"{name}: {value}\r\n" for name, value in {**more, "content-length": length}.items())
                writer.write(f"HTTP/1.1 {status}\r\n{words}\r\n".encode("latin-1") + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def answer(self, method: str, key: str, fields: dict[str, str], body: bytes) -> tuple[str, dict[str, str], bytes]:
        """Return status, header and body."""
        more = {"etag": '"0"', "last-modified": "Wed, 01 Mar 2023 10:50:00 GMT"}
        if method == "PUT":
            self.objects[key] = body
            return "200 OK", more, b""
        if (held := self.objects.get(key)) is None:
            return "404 Not Found", {}, b""
        if method == "HEAD":
            return "200 OK", {**more, "content-length": str(len(held))}, b""
        if (span := re.match(r"bytes=(\d+)-(\d+)", fields.get("range", ""))) is None:
            return "200 OK", more, held
        begin, end = int(span[1]), int(span[2])
        return (
            "206 Partial Content",
            {**more, "content-range": f"bytes {begin}-{end}/{len(held)}"},
            held[begin : end + 1],
        )


def run_server(pipe: Any) -> None:
    """Serve until killed; say the port."""

    async def forever() -> None:
        server = await asyncio.start_server(Server().serve, "127.0.0.1", 0, limit=MIB)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


def by_obstore(url: str) -> dict[str, Callable[[], object]]:
    """Return what is asked, through obstore."""
    store = S3Store(BUCKET, endpoint=url, client_options={"allow_http": True}, access_key_id="a", secret_access_key="b")
    starts = [PIECE * (3 * number) for number in range(PIECES)]
    return {
        "put a record": lambda: [obstore.put(store, f"ledger/{n}", b"r" * KIB) for n in range(RECORDS)],
        "get a record": lambda: [bytes(obstore.get(store, f"ledger/{n}").bytes()) for n in range(RECORDS)],
        "put a shard": lambda: [
            obstore.put(store, f"shard/{n}", SHARD_BYTES, use_multipart=False) for n in range(SHARDS)
        ],
        "get a shard": lambda: [bytes(obstore.get(store, f"shard/{n}").bytes()) for n in range(SHARDS)],
        "get a piece": lambda: [
            obstore.get_ranges(store, f"shard/{n}", starts=starts, lengths=[PIECE] * PIECES) for n in range(SHARDS)
        ],
    }


def by_s3fs(url: str) -> dict[str, Callable[[], object]]:
    """Return what is asked, through s3fs."""
    files = s3fs.S3FileSystem(key="a", secret="b", endpoint_url=url, client_kwargs={"region_name": "us-east-1"})
    starts = [PIECE * (3 * number) for number in range(PIECES)]
    ends = [start + PIECE for start in starts]
    return {
        "put a record": lambda: [files.pipe_file(f"{BUCKET}/ledger/{n}", b"r" * KIB) for n in range(RECORDS)],
        "get a record": lambda: [files.cat_file(f"{BUCKET}/ledger/{n}") for n in range(RECORDS)],
        "put a shard": lambda: [files.pipe_file(f"{BUCKET}/shard/{n}", SHARD_BYTES) for n in range(SHARDS)],
        "get a shard": lambda: [files.cat_file(f"{BUCKET}/shard/{n}") for n in range(SHARDS)],
        "get a piece": lambda: [
            files.cat_ranges([f"{BUCKET}/shard/{n}"] * PIECES, starts, ends) for n in range(SHARDS)
        ],
    }


COUNTS = {
    "put a record": RECORDS,
    "get a record": RECORDS,
    "put a shard": SHARDS,
    "get a shard": SHARDS,
    "get a piece": SHARDS * PIECES,
}
"""How many of each."""
SHARD_BYTES = os.urandom(SHARD)


def measure(work: Callable[[], object], count: int) -> dict[str, float]:
    """Return milliseconds of the wall and of this process's processors for each request, medians of repeats."""
    walls, processors = [], []
    for _ in range(REPEATS):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        processors.append(time.process_time() - processor)
        walls.append(time.perf_counter() - wall)
    found = {"wall_ms": statistics.median(walls), "processor_ms": statistics.median(processors)}
    return {name: round(1e3 * seconds / count, 3) for name, seconds in found.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    os.environ["AWS_REQUEST_CHECKSUM_CALCULATION"] = "when_required"
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=run_server, args=(theirs,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ours.recv()}"
    rows = []
    print("                 obstore: wall, processor     s3fs: wall, processor (ms a request)   ratio of processor")
    asked = {"obstore": by_obstore(url), "s3fs": by_s3fs(url)}
    for name, count in COUNTS.items():
        found = {who: measure(calls[name], count) for who, calls in asked.items()}
        mine, other = found["obstore"], found["s3fs"]
        ratio = round(other["processor_ms"] / mine["processor_ms"], 1)
        rows.append({"request": name, **found, "ratio": ratio})
        figures = (
            f"{mine['wall_ms']:13.3f}{mine['processor_ms']:11.3f}{other['wall_ms']:18.3f}{other['processor_ms']:11.3f}"
        )
        print(f"{name:15s}{figures}{ratio:31.1f}", flush=True)
    server.kill()
    if arguments.results:
        result = {"machine": machine(), "requests": rows}
        arguments.results.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
