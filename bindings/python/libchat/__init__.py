# SPDX-License-Identifier: Apache-2.0
"""libchat for Python: a thin layer over include/chat/client.h (and server.h, in libchat.server). See README.md."""

from .aio import AsyncClient
from .client import Client
from .native import BODY_MAX, PAGE_MAX, ChatError, Error, EventType, Kind, LogLevel, Network, Print, Role, State, Tick, Type, direct_id, ffi, version
from .records import Conversation, Device, Event, Member, Message

__all__ = [
    "AsyncClient", "BODY_MAX", "ChatError", "Client", "Conversation", "Device", "Error", "Event", "EventType", "Kind", "LogLevel", "Member", "Message", "Network",
    "PAGE_MAX", "Print", "Role", "State", "Tick", "Type", "direct_id", "ffi", "version",
]
