# SPDX-License-Identifier: Apache-2.0
"""A handle of the library that several threads use while one may end it.

The library asks that no call be under way when a handle is freed, and that one thread at a time pulls events. Handle sees to both: a call counts as long as it
is under way, `close` waits until none is. Who wants an event while another thread pulls waits for what that one finds.
"""

import atexit
import collections
import concurrent.futures
import dataclasses
import itertools
import threading
import time
import weakref

from .native import ChatError, Error, check

EVENTS_MAX = 10000  # pulled while somebody waited for a reply, and not asked for yet; more become one RESYNC, as in the library
SLICE_S = 0.2  # a wait inside the library cannot be ended by a signal: Ctrl-C is looked for so often

_living = weakref.WeakSet()


@atexit.register
def _close_all():
    # A thread of the library that calls back into an interpreter that is gone would bring the process down.
    for handle in list(_living):
        handle._shut()


class Reply(concurrent.futures.Future):
    """Of a request. result() pulls events until the reply is there: the reply as an event, or ChatError. Events that come meanwhile wait for `wait`."""

    def __init__(self, handle, tag):
        super().__init__()
        self._handle = handle
        self.tag = tag

    def result(self, timeout=None):
        return super().result(self._pulled(timeout))

    def exception(self, timeout=None):
        return super().exception(self._pulled(timeout))

    def _pulled(self, timeout):
        """Pulls; how long is still to be waited then: not at all, but where another thread is about to end everything."""
        self._handle._pull_until(self.done, timeout)
        return timeout if self._handle._closing else 0


class EventQueue:
    """Bounded: what does not fit becomes one event that says so."""

    def __init__(self, resync):
        self.waiting = collections.deque()
        self.resync = resync

    def add(self, event):
        if len(self.waiting) < EVENTS_MAX:
            self.waiting.append(event)
        elif self.waiting[-1].type != self.resync:
            self.waiting[-1] = dataclasses.replace(event, type=self.resync, status=0)

    def take(self):
        try:
            return self.waiting.popleft()
        except IndexError:  # nothing, or another thread was faster
            return None


class Handle:
    """What Client and Server share. They bring `_free(native)`, `_interrupt(native)`, `_pull(native, timeout_ms)`, REPLY and RESYNC."""

    def __init__(self, native):
        self._native = native
        self._changed = threading.Condition()
        self._under_way = 0
        self._closing = False
        self._pulling = False
        self._interrupted = False
        self._tags = itertools.count(1)
        self._replies = {}
        self._queue = EventQueue(self.RESYNC)
        _living.add(self)

    # --- calls

    def _call(self, function, *arguments):
        with self._changed:
            if self._closing:
                raise ChatError(Error.CLOSED)
            self._under_way += 1
        try:
            return function(self._native, *arguments)
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def _new_reply(self, tag):
        return Reply(self, tag)

    def _request(self, function, *arguments):
        tag = next(self._tags)
        # Known before the call: the reply may be pulled by another thread before the call has returned.
        self._replies[tag] = reply = self._new_reply(tag)
        try:
            check(self._call(function, tag, *arguments))
        except BaseException:
            del self._replies[tag]
            raise
        return reply

    # --- events

    def _deliver(self, event):
        if event.type == self.REPLY:
            self._end(event.tag, event, ChatError(event.status, event) if event.status < 0 else None)
        else:
            self._queue.add(event)

    def _end(self, tag, event, error):
        reply = self._replies.pop(tag)
        if reply.done():  # canceled: nobody waits any more
            return
        if error:
            reply.set_exception(error)
        else:
            reply.set_result(event)

    def _pull_until(self, done, timeout):
        """Until done(), an interrupt, the end of the handle or the timeout (seconds; None: no limit)."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not done() and not self._closing and not self._take_interrupt():
            left = SLICE_S if deadline is None else deadline - time.monotonic()
            if not self._pull_one(max(0, min(left, SLICE_S))) and left <= 0:
                return

    def _take_interrupt(self):
        interrupted, self._interrupted = self._interrupted, False
        return interrupted

    def _pull_one(self, timeout):
        """Pulls an event, or waits as long for one that another thread pulls. True: something may have changed."""
        with self._changed:
            if self._pulling:
                return self._changed.wait(timeout)
            self._pulling = True
        event = None
        try:
            event = self._call(self._pull, int(timeout * 1000))
            if event:
                self._deliver(event)
        except ChatError:
            pass  # closed meanwhile
        finally:
            with self._changed:
                self._pulling = False
                self._changed.notify_all()
        return event is not None

    def wait(self, timeout=None):
        """The next event, or None after `timeout` seconds (None: no limit), an interrupt or close from another thread. Replies go to who has asked."""
        self._pull_until(lambda: self._queue.waiting, timeout)
        return self._queue.take()

    def events(self, timeout=None):
        """Events until none has come for `timeout` seconds, an interrupt, or close."""
        while event := self.wait(timeout):
            yield event

    def interrupt(self):
        """Ends one wait, the present or the next one."""
        self._interrupted = True
        self._call(self._interrupt)

    # --- end

    def close(self):
        """Any thread but from a callback, any time, also twice. Requests without a reply end with CHAT_E_CLOSED; what was sent stays in the outbox."""
        self._shut()
        self._end_all()

    def _shut(self):
        with self._changed:
            if self._closing:
                return
            self._closing = True
            while self._under_way:
                self._interrupt(self._native)
                self._changed.wait(SLICE_S)
        _living.discard(self)
        self._free(self._native)

    def _end_all(self):
        for tag in list(self._replies):
            self._end(tag, None, ChatError(Error.CLOSED))

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_error):
        self.close()
