# SPDX-License-Identifier: Apache-2.0
"""The C library as cffi sees it: its headers after the preprocessor, its shared objects, and the names of its constants.

Headers: `declarations.h` beside this file where an installation has made one (`python3 -m libchat.native > declarations.h`), else include/ of the source tree
that this package lies in, else wherever the compiler and pkg-config find <chat/client.h>.
Libraries: the folder $LIBCHAT_PATH where it is set, else where the system's loader looks.
"""

import enum
import os
import pathlib
import re
import subprocess

import cffi

PACKAGE = pathlib.Path(__file__).resolve().parent
SOURCE_INCLUDE = PACKAGE.parents[2] / "include"
HEADERS = "#include <chat/client.h>\n#include <chat/server.h>\n"


def _include_flags():
    if (SOURCE_INCLUDE / "chat" / "client.h").exists():
        return [f"-I{SOURCE_INCLUDE}"]
    try:
        answer = subprocess.run(["pkg-config", "--cflags", "chat-client"], capture_output=True, text=True)
    except FileNotFoundError:
        return []
    return answer.stdout.split()


def declarations():
    """What the headers declare. Nothing but the preprocessor works on them: -DCHAT_FFI is their promise that this is enough."""
    made = PACKAGE / "declarations.h"
    if made.exists():
        return made.read_text()
    command = [os.environ.get("CC", "cc"), "-E", "-P", "-DCHAT_FFI", *_include_flags(), "-x", "c", "-"]
    return subprocess.run(command, input=HEADERS, capture_output=True, text=True, check=True).stdout


TEXT = declarations()
ffi = cffi.FFI()
ffi.cdef(TEXT)


def _major():
    return re.search(r"CHAT_VERSION_MAJOR = (\d+)", TEXT).group(1)


def _open(name):
    folder = os.environ.get("LIBCHAT_PATH")
    path = os.path.join(folder, f"lib{name}.so") if folder else f"lib{name}.so.{_major()}"
    return ffi.dlopen(path)


client_lib = _open("chat-client")

_server_lib = None


def server_lib():
    """Only who embeds a server needs its library installed."""
    global _server_lib
    if _server_lib is None:
        _server_lib = _open("chat-server")
    return _server_lib


# --- constants -----------------------------------------------------------------------------------------------------------


def _constants(name, prefix, *, only=None):
    """An enumeration of the headers' constants CHAT_<prefix>…, their names without it."""
    found = re.findall(rf"\bCHAT_{prefix}(\w+) = ", TEXT)
    return enum.IntEnum(name, {short: getattr(client_lib, f"CHAT_{prefix}{short}") for short in found if only is None or short in only})


Error = _constants("Error", "E_")
EventType = _constants("EventType", "EVENT_")
State = _constants("State", "STATE_")
Type = _constants("Type", "TYPE_")
Tick = _constants("Tick", "TICK_")
Role = _constants("Role", "ROLE_")
Network = _constants("Network", "NETWORK_")
LogLevel = _constants("LogLevel", "LOG_")
Print = _constants("Print", "PRINT_")
Action = _constants("Action", "MAY_")
ServerEventType = _constants("ServerEventType", "SERVER_")
Kind = _constants("Kind", "", only=("DIRECT", "GROUP", "CHANNEL"))

API_VERSION = client_lib.CHAT_API_VERSION
PAGE_MAX = client_lib.CHAT_PAGE_MAX
BODY_MAX = client_lib.CHAT_BODY_MAX


class ChatError(Exception):
    """Whatever the library refuses. `code` is the negative CHAT_E_*, `name` its name, `event` the reply that brought it, where one did: a reply may carry
    what is there in spite of its error (history while offline)."""

    def __init__(self, code, event=None, problem=""):
        self.code = code
        self.name = ffi.string(client_lib.chat_error_name(code)).decode()
        self.event = event
        text = problem or ffi.string(client_lib.chat_error_text(code)).decode()
        super().__init__(f"{self.name}: {text}")


def check(status):
    if status < 0:
        raise ChatError(status)
    return status


def version():
    """Of the library that runs, as (major, minor, patch)."""
    number = client_lib.chat_version()
    return number >> 16, number >> 8 & 255, number & 255


def direct_id(user_a, user_b):
    """Id of the direct conversation of two users."""
    a, b = user_a.encode(), user_b.encode()
    out = ffi.new("uint8_t[16]")
    check(client_lib.chat_direct_id(a, len(a), b, len(b), out))
    return bytes(out)


def printed_options(function, form):
    """What chat_client_print_options or its like writes."""
    size = function(form, ffi.NULL, 0) + 1
    out = ffi.new("char[]", size)
    function(form, out, size)
    return ffi.string(out).decode()


if __name__ == "__main__":
    print(TEXT, end="")
