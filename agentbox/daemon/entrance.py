"""The way in from the network: the page's door, the certificate, the name, codes and paired devices, held together."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agentbox import choices, paths
from agentbox.config import Config
from agentbox.control.server import ControlServer, Handler
from agentbox.daemon.door import Door
from agentbox.daemon.events import Events
from agentbox.errors import AgentboxError, ControlError
from agentbox.messages import JSON, Audit, Notice, Role
from agentbox.pairing import addresses, certificate
from agentbox.pairing.codes import Codes
from agentbox.pairing.devices import Device, Devices
from agentbox.realtime.network import NetworkWatch
from agentbox.tools.context import Invitation

if TYPE_CHECKING:
    from agentbox.pairing.announce import Announcement


ANSWERED_S = 2.0
"""So long after a page changed how it is reached it is closed: who asked for it gets the answer, and sees a page."""


class Entrance:
    """`await open()`, `await configure(...)` when the configuration changed, `await close()`.

    What goes wrong with it is told by notices: a box that no phone reaches still hears.
    """

    def __init__(self, config: Config, events: Events, devices: Devices) -> None:
        self._config = config
        self._events = events
        self.codes = Codes()
        self.devices = devices
        devices.guests_read = config.page.guests_read
        self._door = Door(self._program, self._page_failed)
        self._certificate: certificate.Certificate | None = None
        self._names: list[str] = []
        self._announcement: Announcement | None = None
        self._server: ControlServer | None = None
        self._watch = NetworkWatch(self._network_changed, lambda: addresses.lan_addresses())
        self._stack = contextlib.AsyncExitStack()
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: asyncio.Task[None] | None = None
        """The one of them that will open the page anew, until it begins to."""
        self._table: Mapping[str, Handler] = {}

    @property
    def is_open(self) -> bool:
        return self._certificate is not None

    @property
    def page_pid(self) -> int | None:
        """Of the page's process, while somebody looks."""
        return self._door.pid

    async def open(self, table: Mapping[str, Handler]) -> None:
        """`table`: what the page may ask (access.py)."""
        self._table = table
        async with self._changing:
            await self._open_or_tell()

    async def configure(self, config: Config) -> None:
        """Take over a new configuration. Phones stay paired; what they have open comes back by itself. Asked by a page,
        it is done a moment later."""
        before, self._config = self._config, config
        self.devices.guests_read = config.page.guests_read
        page = msgspec.structs.replace(config.page, guests_read=before.page.guests_read)
        if page == before.page and config.language == before.language:
            return
        if self._server is not None and self._server.is_asking:
            self._give_up_waiting()
            self._waiting = self._start(self._open_anew(ANSWERED_S), "page opens anew")
        else:
            await self._open_anew()

    async def _open_anew(self, after_s: float = 0.0) -> None:
        await asyncio.sleep(after_s)
        async with self._changing:
            self._give_up_waiting()
            await self._close()
            await self._open_or_tell()

    def _give_up_waiting(self) -> None:
        """Who waits for an answer to be read would do only what is done now."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting is not asyncio.current_task():
            waiting.cancel()

    async def close(self) -> None:
        self._give_up_waiting()
        async with self._changing:
            await self._close()

    def offer(self, role: Role) -> dict[str, JSON]:
        """Codes for one more device, and where it finds the page. Raises `ControlError` `page_closed`."""
        if self._certificate is None:
            raise ControlError(
                "page_closed", "The page is not open.", "page.enabled must be true; agentbox status says what is wrong."
            )
        offer = self.codes.offer(role, time.monotonic())
        place = f"https://{self._hosts()[0]}:{self._door.port}"
        return {
            "url": f"{place}/pair#{offer.long}",
            "code": offer.short,
            "place": place,
            "name": f"https://{self._names[0]}:{self._door.port}",
            "fingerprint": self._certificate.fingerprint,
            "role": role,
            "seconds": offer.seconds,
        }

    async def invite(self, role: Role) -> dict[str, JSON]:
        """Let the local network in, and one more device with it: as `offer`. Raises as `let_in` and `offer` do."""
        await self.let_in()
        offer = self.offer(role)
        self._events.emit("audit", "ok", message=Audit(action="pair.start", target=role))
        return offer

    async def invite_by_voice(self, role: Role) -> Invitation:
        """The same in what can be said: by name, where the network carries names."""
        offer = await self.invite(role)
        place = offer["name" if self._config.page.mdns else "place"]
        return Invitation(place, offer["code"], offer["seconds"])

    @property
    def awaits_first(self) -> bool:
        """Whether the local network reaches the page, and nobody is paired yet."""
        return self.is_open and self._config.page.lan and not self.devices.all()

    def redeem(self, code: str, name: str, address: str) -> tuple[Device, str]:
        """A new device and its token, for whoever holds a code. What cannot be paired uses up no code. Raises as
        `Codes.redeem` and `Devices.add` do."""
        self.devices.check_new(name)
        role = self.codes.redeem(code, address, time.monotonic())
        return self.devices.add(name, role, time.time(), address=address)

    async def let_in(self, settings_file: Path | None = None) -> None:
        """Let the local network reach the page, from now on; the owner asked for it. Raises `ConfigError`."""
        if not self._config.page.lan:
            await asyncio.to_thread(choices.remember, "page.lan", True, settings_file)
            page = msgspec.structs.replace(self._config.page, lan=True)
            await self.configure(msgspec.structs.replace(self._config, page=page))

    async def _open_or_tell(self) -> None:
        if not self._config.page.enabled:
            return
        try:
            await self._open()
        except AgentboxError as error:
            await self._close()
            self._tell(error)

    async def _open(self) -> None:
        page = self._config.page
        if page.lan:  # before it is looked where the box is: another place that comes in between is told
            self._watch.start()
            self._stack.callback(self._watch.close)
        await self._certify()
        self._door.open(page.lan, page.port)
        self._stack.push_async_callback(self._door.close)
        server = ControlServer(paths.page_socket(self._config), self._table)
        self._server = await self._stack.enter_async_context(server)
        if page.lan:
            await self._announce()
            self._stack.push_async_callback(self._unannounce)

    async def _close(self) -> None:
        stack, self._stack = self._stack, contextlib.AsyncExitStack()
        self._certificate = self._server = None
        await stack.aclose()

    async def _certify(self) -> bool:
        """Have a certificate for where the box is now; whether it is another one than before."""
        page = self._config.page
        found = addresses.lan_addresses() if page.lan else []
        self._names = [f"{addresses.host_name(page.name)}.local", *found, "localhost", "127.0.0.1", "::1"]
        before = self._certificate
        if page.certificate is not None:
            self._certificate = await asyncio.to_thread(certificate.own, Path(page.certificate))
        else:
            make = certificate.ensure
            self._certificate = await asyncio.to_thread(make, paths.page_dir(), self._names, time.time())
        return before is not None and before != self._certificate

    def _hosts(self) -> list[str]:
        """An address first: not every phone finds names of the local network."""
        found = [name for name in self._names[1:] if name not in ("localhost", "127.0.0.1", "::1")]
        return [*found, self._names[0]] if self._config.page.lan else ["localhost"]

    def _program(self, sockets: Sequence[int]) -> list[str]:
        assert self._certificate is not None
        page, listening = self._config.page, ",".join(map(str, sockets))
        # The owner's own certificate is for another name.
        is_found_by_name = page.lan and page.mdns and page.certificate is None
        options = {
            "sockets": listening,
            "control": str(paths.page_socket(self._config)),
            "certificate": str(self._certificate.file),
            "fingerprint": self._certificate.fingerprint,
            "names": ",".join(self._names),
            "lasting-name": self._names[0] if is_found_by_name else "",
            "language": self._config.language,
        }
        return [sys.executable, "-P", "-m", "agentbox.page", *(f"--{name}={value}" for name, value in options.items())]

    async def _announce(self) -> None:
        page = self._config.page
        found = self._names[1 : self._names.index("localhost")]
        if page.mdns and found:
            from agentbox.pairing.announce import Announcement  # some megabytes, and only for who wants it

            announcement = Announcement(self._names[0].removesuffix(".local"), self._door.port, found)
            try:
                await announcement.start()
            except ControlError as error:
                self._tell(error)
            else:
                self._announcement = announcement

    async def _unannounce(self) -> None:
        announcement, self._announcement = self._announcement, None
        if announcement is not None:
            await announcement.close()

    def _network_changed(self) -> None:
        self._start(self._move(), "page moves")

    def _start(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _move(self) -> None:
        """The box has other addresses than before."""
        async with self._changing:
            if self._certificate is None:
                return
            names = self._names
            try:
                another = await self._certify()
            except AgentboxError as error:
                self._tell(error)
                return
            if another or self._names != names:
                await self._door.restart()
                await self._unannounce()
                await self._announce()

    def _page_failed(self, code: int) -> None:
        self._tell(ControlError("page_failed", f"The page ended with code {code}.", "It is started again."))

    def _tell(self, error: AgentboxError) -> None:
        self._events.notice(Notice(code=error.code, what=error.what, todo=error.todo, level="error"))
