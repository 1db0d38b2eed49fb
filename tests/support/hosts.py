"""Machines of their own on this one: network name spaces joined by a bridge, or else addresses of the loopback."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Host:
    """One machine."""

    name: str
    address: str
    is_apart: bool
    "Whether it has a network of its own."

    @property
    def before(self) -> tuple[str, ...]:
        """What a command is started through to run there."""
        return ("ip", "netns", "exec", self.name) if self.is_apart else ()

    def cut(self, address: str) -> None:
        """Let nothing reach an address from there, and no answer come back."""
        _ip("-n", self.name, "route", "add", "blackhole", f"{address}/32")

    def mend(self, address: str) -> None:
        """Undo `cut`."""
        _ip("-n", self.name, "route", "del", "blackhole", f"{address}/32")


@dataclass(frozen=True)
class Hosts:
    """This machine, its object store's address, and others."""

    address: str
    store_address: str
    others: tuple[Host, ...]

    @property
    def are_apart(self) -> bool:
        """Whether the others have networks of their own."""
        return self.others[0].is_apart


@contextlib.contextmanager
def hosts(count: int) -> Iterator[Hosts]:
    """Make so many other machines."""
    number = os.getpid() % 100 * 100 + next(_NUMBERS) % 100  # test runs beside each other
    net, bridge = f"10.{200 + number // 5000 % 50}.{number % 250}", f"cct{number}"
    names = [f"{bridge}n{place}" for place in range(count)]
    with contextlib.ExitStack() as undo:
        if shutil.which("ip") is None or not _can("netns", "add", names[0]):
            yield Hosts(
                "127.0.0.1", "127.0.0.1", tuple(Host(n, f"127.0.0.{p + 2}", False) for p, n in enumerate(names))
            )
            return
        undo.callback(_can, "netns", "del", names[0])
        _ip("link", "add", bridge, "type", "bridge")
        undo.callback(_can, "link", "del", bridge)
        for address in (f"{net}.1/24", f"{net}.200/24"):
            _ip("addr", "add", address, "dev", bridge)
        _ip("link", "set", bridge, "up")
        for place, name in enumerate(names):
            if place:
                _ip("netns", "add", name)
                undo.callback(_can, "netns", "del", name)
            link = f"{bridge}v{place}"
            _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", link, "master", bridge, "up")
            _ip("-n", name, "addr", "add", f"{net}.{place + 2}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", name, "link", "set", device, "up")
        others = tuple(Host(name, f"{net}.{place + 2}", True) for place, name in enumerate(names))
        yield Hosts(f"{net}.1", f"{net}.200", others)


def _can(*words: str) -> bool:
    return subprocess.run(["ip", *words], capture_output=True, check=False).returncode == 0


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], capture_output=True, check=True)
