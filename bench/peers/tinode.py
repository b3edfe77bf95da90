# SPDX-License-Identifier: Apache-2.0
"""Tinode (GPL-3.0, run beside, never linked): a chat server in Go on PostgreSQL. A message is committed before its ack; JSON over WebSocket."""

import base64
import hashlib
import hmac
import json
import shutil
import subprocess
from pathlib import Path

from peers.peer import Peer, free_port, go_program, install

MODULE, VERSION = "github.com/tinode/chat", "v0.25.3"
POSTGRES = Path("/usr/lib/postgresql/15/bin")
# A salt and a key are needed to start; what is signed with them lives as long as the benchmark. 32, 32 and 16 bytes in base64.
SALT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
UID_KEY = "AAECAwQFBgcICQoLDA0ODw=="


def api_key() -> str:
    """Version 1, application 0 (4 bytes), sequence 1 (2 bytes), no root (1 byte), and their HMAC-MD5: what its server/api_key.go checks."""
    fields = bytes([1, 0, 0, 0, 0, 1, 0, 0])
    return base64.urlsafe_b64encode(fields + hmac.new(base64.b64decode(SALT), fields, hashlib.md5).digest()).decode()


class Tinode(Peer):
    name = f"Tinode {VERSION[1:]} on PostgreSQL 15"
    protocol = "tinode"
    durability = "committed before the ack, no receipts"
    load_options = {"key": api_key()}

    def install(self):
        install("postgresql-15")
        self.server = go_program(MODULE, VERSION, MODULE + "/server", "tinode", "-tags", "postgres")
        self.database = go_program(MODULE, VERSION, MODULE + "/tinode-db", "tinode-db", "-tags", "postgres")

    def start_postgres(self) -> int:
        port = free_port()
        data = self.folder / "postgres"
        data.mkdir()
        shutil.chown(data, "postgres", "postgres")
        self.folder.chmod(0o755)
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self.run(*as_postgres, POSTGRES / "initdb", "-A", "trust", "-U", "postgres", "-D", data, cwd=data)
        self.spawn("postgres", *as_postgres, POSTGRES / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", data, cwd=data)
        self.await_true(lambda: subprocess.run([POSTGRES / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode == 0, f"takes connections at {port}")
        return port

    def config(self, database_port: int) -> dict:
        adapter = {"User": "postgres", "Passwd": "postgres", "Host": "127.0.0.1", "Port": str(database_port), "DBName": "tinode", "SSLMode": "disable", "sql_timeout": 10}
        return {
            "listen": f"127.0.0.1:{self.port}",
            "grpc_listen": "",
            "ws_compression_disabled": True,
            "api_key_salt": SALT,
            "max_message_size": 262144,
            "max_subscriber_count": 128,
            "auth_config": {"token": {"expire_in": 1209600, "serial_num": 1, "key": SALT}, "basic": {"min_login_length": 1, "min_password_length": 1}},
            "store_config": {"uid_key": UID_KEY, "max_results": 1024, "use_adapter": "postgres", "adapters": {"postgres": {**adapter, "max_open_conns": 50, "max_idle_conns": 50}}},
            "push": [],
        }

    def start(self):
        self.port = free_port()
        path = self.folder / "tinode.conf"
        path.write_text(json.dumps(self.config(self.start_postgres())))
        static = self.folder / "static"
        static.mkdir()
        self.run(self.database, f"-config={path}", "-reset", cwd=self.folder)
        self.spawn("tinode", self.server, f"-config={path}", f"-static_data={static}", quiet=True, cwd=self.folder)
        self.await_port(self.port)
