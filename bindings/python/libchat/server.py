# SPDX-License-Identifier: Apache-2.0
"""A server inside a Python program (include/chat/server.h). Needs libchat-server as well."""

from .client import log_sink, option_text
from .handle import Handle
from .native import API_VERSION, ChatError, Error, Kind, Print, Role, ServerEventType, check, ffi, printed_options, server_lib
from .records import Asked, Incoming, Login, Stored, copier, copy_server_event
from .requests import raw_id, raw_id_or_null, text, text_or_null

lib = server_lib()

# Hook → (type of its last argument, what that is copied into).
HOOKS = {
    "authenticate": ("const chat_login *", Login),
    "before_log": ("const chat_incoming *", Incoming),
    "may": ("const chat_action *", Asked),
    "after_store": ("const chat_stored *", Stored),
}


class Ticket:
    """Of a hook: to be answered once, at once or later, from any thread. A hook that raises has denied."""

    def __init__(self, native):
        self._native = native

    def answer(self, error=0):
        native, self._native = self._native, None
        lib.chat_ticket_answer(native, error)

    def answer_user(self, user, *, device_id=None, expires_ms=0):
        """authenticate: this is `user`. ChatError where that is no user id; the ticket is still to be answered then."""
        check(lib.chat_ticket_answer_user(self._native, *text(user), raw_id_or_null(device_id), expires_ms))
        self._native = None

    @property
    def is_answered(self):
        return self._native is None


def _hook(name, function, on_error):
    argument, record = HOOKS[name]
    copy = copier(record)

    @ffi.callback(f"void(void *, chat_ticket *, {argument})")
    def callback(_arg, native, struct):
        ticket = Ticket(native)
        try:
            function(ticket, copy(struct))
        except Exception as error:
            if not ticket.is_answered:
                ticket.answer(Error.DENIED)
            on_error(error)

    return callback


def _strings(values):
    return [ffi.new("char[]", value.encode()) for value in values]


class Server(Handle):
    """
        with Server(listen="127.0.0.1:0", data="data", dev_mode=True) as server:
            ... server.port() ...

    Options are those of docs/options.md, "Server". Hooks are functions of a Ticket and a record: authenticate (Login), before_log (Incoming), may (Asked), after_store
    (Stored); they are called on the server's threads and must not block. What one raises goes to on_error, and the ticket is answered with CHAT_E_DENIED.
    """

    REPLY = ServerEventType.REPLY
    RESYNC = ServerEventType.FAULT

    def __init__(self, *, hooks=None, log=None, on_error=lambda error: None, **options):
        self._kept = []
        out = ffi.new("chat_server **")
        check(lib.chat_server_new(API_VERSION, self._config(hooks or {}, log, on_error), out))
        super().__init__(out[0])
        try:
            for name, value in options.items():
                self.set(name, value)
        except BaseException:
            self.close()
            raise

    def _config(self, hooks, log, on_error):
        config = ffi.new("chat_server_config *", {"size": ffi.sizeof("chat_server_config")})
        if log:
            config.log, callback = sink = log_sink(log)
            self._kept += [callback, *sink]
        if hooks:
            callbacks = {name: _hook(name, function, on_error) for name, function in hooks.items()}
            config.hooks = struct = ffi.new("chat_hooks *", {"size": ffi.sizeof("chat_hooks"), **callbacks})
            self._kept += [struct, *callbacks.values()]
        return config

    # --- life

    @staticmethod
    def options(form=Print.HELP):
        return printed_options(lib.chat_server_print_options, form)

    def _check(self, status):
        if status < 0:
            raise ChatError(status, problem=ffi.string(self._call(lib.chat_server_problem)).decode())

    def set(self, name, value):
        self._check(self._call(lib.chat_server_set, name.replace("_", "-").encode(), option_text(value).encode()))

    def set_file(self, path):
        self._check(self._call(lib.chat_server_set_file, str(path).encode(), ffi.NULL))

    def set_args(self, args):
        """Options as on a command line; what is left of it."""
        used = ffi.new("int *")
        strings = _strings(args)
        self._check(self._call(lib.chat_server_set_args, len(args), ffi.new("char *[]", strings), used))
        return args[used[0]:]

    def set_environment(self, environment, prefix="CHATD_"):
        """Options from a mapping as os.environ."""
        strings = _strings(f"{name}={value}" for name, value in environment.items())
        self._check(self._call(lib.chat_server_set_environment, prefix.encode(), ffi.new("char *[]", [*strings, ffi.NULL])))

    def start(self):
        self._check(self._call(lib.chat_server_start))
        return self

    def port(self, what="listen"):
        return self._call(lib.chat_server_port, what.encode())

    def reload(self):
        check(self._call(lib.chat_server_reload))

    def stop(self, deadline=30.0):
        """Drains and ends. Once."""
        check(self._call(lib.chat_server_stop, int(deadline * 1000)))

    def fileno(self):
        return self._call(lib.chat_server_fd)

    def _free(self, native):
        lib.chat_server_free(native)

    def _interrupt(self, native):
        lib.chat_server_interrupt(native)

    def _pull(self, native, timeout_ms):
        event = lib.chat_server_wait(native, timeout_ms)
        return copy_server_event(event) if event else None

    # --- requests, each with a Reply

    def send(self, user, body, *, conversation_id=None, peer=None, kind=None, meta=b"", client_id=None, as_system=False):
        out = ffi.new("chat_server_send *", {"size": ffi.sizeof("chat_server_send"), "as_system": as_system})
        ids = raw_id_or_null(conversation_id), raw_id_or_null(client_id)
        texts = {"user": text(user), "peer": text_or_null(peer), "kind": text_or_null(kind), "body": text(body), "meta": text(meta)}
        out.conversation_id, out.client_id = ids
        for name, (data, size) in texts.items():
            setattr(out, name, data)
            setattr(out, f"{name}_len", size)
        return self._request(lib.chat_server_request_send, out)

    def create(self, owner, title, members=(), *, kind=Kind.GROUP, history_from_start=False):
        kept = [text(member) for member in members]
        names, sizes = [data for data, _ in kept], [size for _, size in kept]
        arrays = ffi.new("char *[]", names), ffi.new("size_t[]", sizes)
        return self._request(lib.chat_server_request_create, *text(owner), kind, *text(title), *arrays, len(kept), history_from_start)

    def add(self, conversation_id, user, role=Role.MEMBER):
        return self._request(lib.chat_server_request_add, raw_id(conversation_id), *text(user), role)

    def remove(self, conversation_id, user):
        return self._request(lib.chat_server_request_remove, raw_id(conversation_id), *text(user))

    def history(self, conversation_id, low=0, high=2**63 - 1, limit=50):
        """Reply: stored, those with seq in (low, high], the newest."""
        return self._request(lib.chat_server_request_history, raw_id(conversation_id), low, high, limit)

    def disconnect(self, user, device_id=None):
        return self._request(lib.chat_server_request_disconnect, *text(user), raw_id_or_null(device_id))

    def revoke(self, user, device_id):
        return self._request(lib.chat_server_request_revoke, *text(user), raw_id(device_id))

    def statistics(self):
        return self._request(lib.chat_server_request_statistics)
