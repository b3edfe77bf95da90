# SPDX-License-Identifier: Apache-2.0
"""The same client on asyncio: the loop watches the client's descriptor, no thread waits. Its methods belong to the loop's thread."""

import asyncio

from .client import Client

BATCH = 100  # events pulled in one turn of the loop, so that others have theirs


class AsyncClient(Client):
    """
        async with AsyncClient("ws://127.0.0.1:8300", "dev:alice", "alice.db") as client:
            await client.send_direct("bob", "hello")
            async for event in client:
                ...

    Each request returns a future of the reply. suspend may block: asyncio.to_thread is the place for it.
    """

    def __init__(self, *arguments, **options):
        if options.get("caller_driven"):
            raise ValueError("caller_driven is for programs that drive by hand")
        super().__init__(*arguments, **options)
        self._news = asyncio.Event()
        self._fd = None

    def _new_reply(self, tag):
        return self._loop.create_future()

    def _readable(self):
        for _ in range(BATCH):
            if not self._pull_one(0):
                break
        self._news.set()

    async def wait(self, timeout=None):
        """The next event, or None after `timeout` seconds (None: no limit), or at close."""
        try:
            async with asyncio.timeout(timeout):
                while not self._queue.waiting and not self._closing:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass
        return self._queue.take()

    async def events(self, timeout=None):
        while event := await self.wait(timeout):
            yield event

    def __aiter__(self):
        return self.events()

    async def __aenter__(self):
        self._loop = asyncio.get_running_loop()
        try:
            await asyncio.to_thread(self.start)  # checks the database
        except BaseException:
            await self.aclose()
            raise
        self._fd = self.fileno()
        self._loop.add_reader(self._fd, self._readable)
        return self

    async def __aexit__(self, *_error):
        await self.aclose()

    async def aclose(self):
        if self._fd is not None and not self._closing:
            self._loop.remove_reader(self._fd)
        await asyncio.to_thread(self._shut)
        self._end_all()
        self._news.set()

    # Only within a loop.
    __enter__ = __exit__ = None
    interrupt = None
