"""One backend of the owner's: whether it may be used, and its open session, if there is one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from agentbox.config import Backend as Settings
from agentbox.credentials import Credentials
from agentbox.daemon.egress import Meter, Reason, Use
from agentbox.errors import ConfigError
from agentbox.realtime.backends import DIALOGS, KINDS, RECOGNISERS, VOICES, make_session
from agentbox.realtime.failures import CloudError, Kind, failure
from agentbox.realtime.health import Health
from agentbox.realtime.link import Link
from agentbox.realtime.prices import Prices
from agentbox.realtime.session import Account, RealtimeDialog, Setup

Make = Callable[[str, Account, Setup], RealtimeDialog]


class Backend:
    """See the module. `setup` is asked anew for each session."""

    def __init__(
        self,
        settings: Settings,
        setup: Callable[[Settings], Setup],
        credentials: Credentials,
        meter: Meter,
        *,
        make: Make = make_session,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.model = settings.model or KINDS[settings.kind].model
        self.answers = settings.kind in DIALOGS
        self.recognises = settings.kind in RECOGNISERS
        """It only writes down what was said."""
        self.speaks = settings.kind in VOICES
        """It only says the box's own answers."""
        self.prices = Prices(settings.price.minute_out, settings.price.minute_in, settings.price.million)
        self.health = Health()
        self.link: Link | None = None
        self.users = 0
        """Turns that use the link just now."""
        self._setup = setup
        self._credentials = credentials
        self._meter = meter
        self._make = make
        self._monotonic = monotonic
        self._opening = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def ready(self, within_s: float, reason: Reason = "connect") -> Link:
        """A session that is configured: the one that is open, or a new one. Raises `CloudError`."""
        by_s = self._monotonic() + within_s
        try:
            async with asyncio.timeout(within_s):
                await self._opening.acquire()
        except TimeoutError:
            raise CloudError(failure("cloud_timeout")) from None
        try:
            if self.link is not None and self.link.is_fresh():
                return self.link
            # A session that comes to its vendor's limit is gone on with, where the vendor can: the talk goes on.
            handle = self.link.handle if self.link is not None else ""
            self.abandon()
            for resume in dict.fromkeys((handle, "")):
                use = self.use(reason)
                try:
                    self.link = await self._open(by_s, resume, use)
                    use.end()
                except CloudError as error:
                    use.end(error.code)
                    if resume and error.failure.kind is Kind.RETRY_NOW:
                        continue  # the handle was refused: begin a new talk
                    if error.failure.kind is Kind.FATAL_INPUT:
                        # Nothing was said yet: it is the session itself that they do not like.
                        raise CloudError(failure("cloud_settings", error.failure.vendor_code)) from None
                    raise
                finally:
                    use.end("cancelled")
                break
            assert self.link is not None
            self.health.configured()
            return self.link
        finally:
            self._opening.release()

    async def probe(self, within_s: float, reason: Reason = "probe") -> None:
        """See whether it works, as far as the acknowledged configuration: that costs nothing. Raises `CloudError`."""
        await self.ready(within_s, reason)
        self.abandon()

    def abandon(self) -> None:
        """End the session, if one is open, and wait for nothing: a service that is slow to part must not delay who
        asks the next one."""
        link, self.link = self.link, None
        if link is not None:
            closing = asyncio.create_task(self._part(link), name="cloud-close")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End every session."""
        self.abandon()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _part(self, link: Link) -> None:
        use = self.use("close", link=link)
        await link.close()
        use.end()

    def use(self, reason: Reason, *, turn_id: str = "", link: Link | None = None) -> Use:
        """Put down that something is about to leave the box."""
        return self._meter.begin(self.name, self.model, reason, self.prices, turn_id=turn_id, link=link)

    async def _open(self, by_s: float, handle: str, use: Use) -> Link:
        settings = self.settings
        try:
            async with asyncio.timeout(by_s - self._monotonic()):
                key = await asyncio.to_thread(self._credentials.find, settings.key or settings.name)
        except TimeoutError:
            raise CloudError(failure("cloud_timeout")) from None
        except ConfigError as error:
            raise CloudError(failure("cloud_no_key", error.code)) from error
        if not key and not settings.url:
            raise CloudError(failure("cloud_no_key"))
        if key and not (key.isascii() and key.isprintable()):
            raise CloudError(failure("cloud_key"))  # it cannot be sent, and what says so quotes it
        account = Account(
            key=key or "",
            model=self.model,
            url=settings.url,
            app_id=settings.app_id,
            workspace=settings.workspace,
            options=settings.options,
        )
        setup = replace(self._setup(settings), resume=handle)
        dialog = self._make(settings.kind, account, setup)
        link = Link(dialog, open_s=max(0.0, by_s - self._monotonic()), monotonic=self._monotonic)
        use.over(link)
        await link.open()
        return link
