"""Backups, restoring them, and deleting all of the owner's: what a person at the box and their phones can ask for."""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from agentbox import paths
from agentbox.control.server import Handler
from agentbox.daemon import anew, backup
from agentbox.daemon.core import READ_S, Core
from agentbox.daemon.params import Params, want
from agentbox.errors import InputError
from agentbox.messages import JSON, MOST_ARCHIVE_BYTES, Caller
from agentbox.pairing.addresses import host_name

PIECE_BYTES = 384 << 10
"""Of an archive in one message: a line of the control protocol holds 1 MiB of base64."""


class BackupHandlers:
    """`table()` is the methods by name. `caller`: `page` gets no secrets, restores fewer settings, and names the
    box that it resets."""

    def __init__(self, core: Core, caller: Caller = "cli") -> None:
        self._core = core
        self._by_page = caller == "page"

    def table(self) -> dict[str, Handler]:
        return {
            "backup.create": self.backup_create,
            "restore.put": self.restore_put,
            "restore.stage": self.restore_stage,
            "factory.reset": self.factory_reset,
        }

    async def backup_create(self, params: Params) -> AsyncIterator[JSON]:
        """`{"secrets"}` -> `{"name", "bytes"}`, then pieces of the archive as `{"data"}`, in base64."""
        secrets = want(params, "secrets", bool) if "secrets" in params else False
        if secrets and self._by_page:
            raise InputError("secrets_stay", "Secrets do not go over the network.", "agentbox backup --with-secrets")
        await self._core.journal.settled(READ_S)
        folder = Path(tempfile.mkdtemp(prefix=".backup-", dir=paths.state_dir()))
        try:
            make = asyncio.to_thread(backup.make, self._core.config, folder, secrets=secrets)
            archive = await make
            name = f"agentbox-{host_name(self._core.config.page.name)}-{time.strftime('%Y%m%d-%H%M%S')}.zip"
            yield {"name": name, "bytes": archive.stat().st_size}
            with archive.open("rb") as source:
                while piece := await asyncio.to_thread(source.read, PIECE_BYTES):
                    yield {"data": base64.b64encode(piece).decode("ascii")}
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def restore_put(self, params: Params) -> JSON:
        """`{"offset", "data"}`: the next piece of an archive; one at offset 0 begins anew -> `{"bytes"}` so far."""
        offset = want(params, "offset", int)
        try:
            data = base64.b64decode(want(params, "data", str), validate=True)
        except binascii.Error as error:
            raise InputError("bad_parameter", "data must be base64.", "See docs/control.md.") from error
        return {"bytes": await asyncio.to_thread(_put, offset, data)}

    async def restore_stage(self, _: Params) -> JSON:
        """Check what was put; it takes the place of what is there at the next start -> when and by which version it
        was made, and the settings that stay as they are."""
        file = anew.upload_file()
        if not file.exists():
            raise backup.invalid("nothing came")
        try:
            plan = await asyncio.to_thread(anew.stage, file, self._core.loaded, by_page=self._by_page)
        finally:
            file.unlink(missing_ok=True)
        return {"made_at": plan.made_at, "agentbox": plan.agentbox, "left": plan.left}

    async def factory_reset(self, params: Params) -> JSON:
        """`{"name"}`: the box's name, to be sure; a command was told `--yes`, and need not know it. The next start
        deletes all of the owner's."""
        name = host_name(self._core.config.page.name)
        if (self._by_page or "name" in params) and want(params, "name", str).strip().casefold() != name.casefold():
            raise InputError("reset_not_confirmed", "That is not the name of the box.", f"Its name is {name}.")
        await asyncio.to_thread(anew.want_reset)
        return {"name": name}


def _put(offset: int, data: bytes) -> int:
    """Raises `InputError` `upload_broken`, `backup_invalid`; `StorageError`."""
    file = anew.upload_file()
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_TRUNC if offset == 0 else 0)
    try:
        with os.fdopen(os.open(file, flags, 0o600), "wb") as out:
            size = os.fstat(out.fileno()).st_size
            if size != offset:
                raise InputError("upload_broken", "A piece of the backup did not come.", "Send it again.")
            if size + len(data) > MOST_ARCHIVE_BYTES:
                raise backup.invalid("it is too large")
            if shutil.disk_usage(file.parent).free < backup.ROOM_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            out.seek(offset)
            out.write(data)
    except OSError as error:
        raise backup.not_done(error) from error
    return offset + len(data)
