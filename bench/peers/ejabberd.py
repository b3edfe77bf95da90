# SPDX-License-Identifier: Apache-2.0
"""ejabberd (GPL-2.0, run beside, never linked): an XMPP server in Erlang; XMPP over TCP. With its archive on SQLite (a message is stored before it is delivered), and without."""

import os
import sqlite3
from pathlib import Path

from peers.peer import Peer, free_port, install

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
SCHEMA = Path("/usr/share/ejabberd/sql/lite.sql")
CONFIG = """
hosts: [localhost]
loglevel: error
sql_type: sqlite
sql_database: "{folder}/archive.sqlite"
default_db: mnesia
auth_method: anonymous
anonymous_protocol: login_anon
allow_multiple_connections: true
shaper: {{}}
listen:
  - port: {port}
    ip: 127.0.0.1
    module: ejabberd_c2s
    max_stanza_size: 262144
    starttls: false
    shaper: none
modules:
  mod_muc:
    host: rooms.localhost
    access: all
    access_create: all
    history_size: 0
    max_users: 1000
    min_message_interval: 0
    default_room_options: {{mam: {archive}, allow_query_users: true, max_users: 1000}}
{mam}
"""
MAM = """
  mod_mam:
    db_type: sql
    default: always
    use_cache: true
"""


class Ejabberd(Peer):
    name = "ejabberd 23.01, archive on SQLite"
    protocol = "xmpp"
    durability = "archived before delivery"
    archive = True

    def install(self):
        install("ejabberd", "erlang-p1-sqlite3")

    def start(self):
        """Without ejabberdctl and without distribution: so there is no other user, no epmd and no system folder in it."""
        self.port = free_port()
        path = self.folder / "ejabberd.yml"
        path.write_text(CONFIG.format(folder=self.folder, port=self.port, archive="true" if self.archive else "false", mam=MAM if self.archive else ""))
        if self.archive:
            database = sqlite3.connect(self.folder / "archive.sqlite")
            database.executescript(SCHEMA.read_text())
            database.close()
        environment = {**os.environ, "EJABBERD_CONFIG_PATH": str(path), "EJABBERD_LOG_PATH": str(self.folder / "ejabberd.log"), "ERL_LIBS": LIBRARIES}
        self.spawn("erl", "erl", "+K", "true", "+P", "250000", "-noinput", "-mnesia", "dir", f'"{self.folder}/mnesia"', "-s", "ejabberd", env=environment, cwd=self.folder)
        self.await_port(self.port)


class EjabberdWithoutArchive(Ejabberd):
    name = "ejabberd 23.01, archive off"
    durability = "memory only"
    archive = False
