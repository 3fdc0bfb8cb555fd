"""Processes and ports of this machine: who lives, who answers, who is ours."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


class Problem(Exception):
    """Something the operator can mend: one sentence and what to do."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def gist(output: str) -> str:
    """The one line of an output that says most: the last that names an error, or the last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "rror" in line or "FATAL" in line or "ERROR" in line]
    return ((telling or lines or ["it wrote nothing."])[-1])[:300]


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def started_at(pid: int) -> int | None:
    """Start time of a living process in clock ticks since boot (/proc/PID/stat field 22)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def owner_of(pid: int) -> int | None:
    """The user id that a process runs under."""
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except FileNotFoundError:
        return None


def group_members(pgid: int, uid: int) -> list[int]:
    """Living processes of a user in a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == pgid and fields[0] not in "ZX" and entry.stat().st_uid == uid:
                found.append(int(entry.name))
    return found


def wait_for_exit(pid: int, seconds: float) -> bool:
    """Waits until a process is gone; False when it still lives after `seconds`."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(handle)


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str) -> bool:
    """Whether a page answers 200; a server that is still starting does not."""
    # Without the machine's proxy, which would not find 127.0.0.1.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=60) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


@dataclass(frozen=True)
class Service:
    """How one server is started, known to be ready, and stopped."""

    name: str
    argv: list[str]
    ready: Callable[[], bool]
    stop: signal.Signals = signal.SIGTERM
    env: dict[str, str] = field(default_factory=dict)
    seconds: int = 240
