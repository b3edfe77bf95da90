# SPDX-License-Identifier: Apache-2.0
"""One user on one device (include/chat/client.h), for programs without an event loop."""

import select

from .handle import Handle
from .native import API_VERSION, ChatError, EventType, LogLevel, Print, check, client_lib, ffi, printed_options
from .records import copy_event
from .requests import Requests, raw_id


def option_text(value):
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def log_sink(write):
    """A chat_log_sink * and the callback that it points to: write(level, line), from the library's threads."""

    @ffi.callback("void(void *, int, const char *, size_t)")
    def callback(_arg, level, line, size):
        write(LogLevel(level), ffi.unpack(line, size).decode(errors="replace"))

    return ffi.new("chat_log_sink *", {"write": callback}), callback


class Client(Requests, Handle):
    """
        with Client("ws://127.0.0.1:8300", "dev:alice", "alice.db") as client:
            client.send_direct("bob", "hello").result(30)
            for event in client.events(timeout=30):
                ...

    Options are those of docs/options.md, "Client", with _ for -; without a database nothing survives. Each request returns a Reply. All methods may be
    called from any thread. Times are in seconds.
    """

    REPLY = EventType.REPLY
    RESYNC = EventType.RESYNC

    def __init__(self, url=None, token=None, database=None, *, log=None, **options):
        self._kept = []  # what the library points to for as long as it lives
        out = ffi.new("chat_client **")
        check(client_lib.chat_client_new(API_VERSION, self._config(log), out))
        super().__init__(out[0])
        self._caller_driven = options.get("caller_driven", False)
        try:
            for name, value in {"url": url, "token": token, "database": database, **options}.items():
                if value is not None:
                    self.set(name, value)
        except BaseException:
            self.close()
            raise

    def _config(self, log):
        config = ffi.new("chat_client_config *")
        config.size = ffi.sizeof("chat_client_config")
        if log:
            config.log, callback = sink = log_sink(log)
            self._kept += [callback, *sink]
        return config

    # --- life

    @staticmethod
    def options(form=Print.HELP):
        """All options, as text."""
        return printed_options(client_lib.chat_client_print_options, form)

    def set(self, name, value):
        """Before start; "token" and "url" also later."""
        name = name.replace("_", "-")
        status = self._call(client_lib.chat_client_set, name.encode(), option_text(value).encode())
        if status < 0:
            raise ChatError(status, problem=f"option {name}")

    def start(self):
        check(self._call(client_lib.chat_client_start))
        return self

    def _free(self, native):
        client_lib.chat_client_free(native)

    def _interrupt(self, native):
        client_lib.chat_client_interrupt(native)

    # --- events

    def _pull(self, native, timeout_ms):
        if self._caller_driven:
            timeout_ms = self._drive(native, timeout_ms)
        event = client_lib.chat_client_wait(native, timeout_ms)
        return copy_event(event) if event else None

    def _drive(self, native, timeout_ms):
        """Caller-driven mode: one step, now or when it is due."""
        check(client_lib.chat_client_process(native))
        due_ms = client_lib.chat_client_next_deadline_ms(native)
        poll = select.poll()
        for fd in client_lib.chat_client_fd(native), client_lib.chat_client_io_fd(native):
            poll.register(fd, select.POLLIN)
        poll.poll(timeout_ms if due_ms < 0 else min(timeout_ms, due_ms))
        check(client_lib.chat_client_process(native))
        return 0

    def set_wakeup(self, wake):
        """wake() is called when there is something to pull, from a thread of the library; it may only wake. None: no more."""
        callback = ffi.callback("void(void *)", lambda _arg: wake()) if wake else ffi.NULL
        self._kept.append(callback)
        self._call(client_lib.chat_client_set_wakeup, callback, ffi.NULL)

    def fileno(self):
        """Readable while there is something to pull: for select and its like. Not to be read or closed."""
        return self._call(client_lib.chat_client_fd)

    # --- caller-driven mode (caller_driven=True)

    def process(self):
        check(self._call(client_lib.chat_client_process))

    def next_deadline(self):
        """Seconds from now; None: no deadline."""
        due_ms = self._call(client_lib.chat_client_next_deadline_ms)
        return None if due_ms < 0 else due_ms / 1000

    def io_fileno(self):
        return self._call(client_lib.chat_client_io_fd)

    # --- what has no reply

    def network_hint(self, hint):
        check(self._call(client_lib.chat_client_network_hint, hint))

    def suspend(self, deadline=5.0):
        check(self._call(client_lib.chat_client_suspend, int(deadline * 1000)))

    def resume(self):
        check(self._call(client_lib.chat_client_resume))

    def typing(self, conversation_id, typing=True):
        check(self._call(client_lib.chat_client_typing, raw_id(conversation_id), typing))
