"""Catches the mail of a portal on one machine: each message becomes a file, none goes out.

`mail.py PORT FOLDER` takes SMTP on 127.0.0.1; what is older than a month is removed.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

#: Largest message, in bytes, and how long one is kept, in seconds.
MAX_SIZE, KEPT = 5_000_000, 30 * 86_400


class Folder:
    """Writes messages as TIME-RECIPIENT-NUMBER.eml."""

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """Keep a message, whole or not at all.

        Returns:
            the answer of SMTP.
        """
        self.count += 1
        name = re.sub(r"[^a-zA-Z0-9.@-]", "_", envelope.rcpt_tos[0])[:80]
        stem = f"{datetime.now():%Y%m%d-%H%M%S}-{name}-{self.count}"
        part = self.path / f"{stem}.part"
        try:
            part.write_bytes(envelope.content)
            part.rename(part.with_suffix(".eml"))
            for old in self.path.glob("*.eml"):
                if old.stat().st_mtime < time.time() - KEPT:
                    old.unlink(missing_ok=True)
        except OSError as error:
            print(f"{stem} is not kept: {error}", flush=True)
            return "452 no room"
        print(f"{', '.join(envelope.rcpt_tos)}: {part.with_suffix('.eml').name}", flush=True)
        return "250 kept"


async def serve(port: int, path: Path) -> None:
    """Take mail until the process is stopped."""
    handler, loop = Folder(path), asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="localhost", data_size_limit=MAX_SIZE), "127.0.0.1", port
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
