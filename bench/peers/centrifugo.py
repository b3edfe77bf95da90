# SPDX-License-Identifier: Apache-2.0
"""Centrifugo (Apache-2.0): a pub/sub server in Go. Everything in memory, no receipts; protobuf over WebSocket."""

import json

from peers.peer import Peer, free_port, go_program

MODULE, VERSION = "github.com/centrifugal/centrifugo/v6", "v6.9.1"
SECRET = "bench-secret-of-at-least-32-bytes"


class Centrifugo(Peer):
    name = f"Centrifugo {VERSION[1:]}"
    protocol = "centrifugo"
    durability = "memory only, no receipts"
    load_options = {"key": SECRET}

    def install(self):
        self.program = go_program(MODULE, VERSION, MODULE, "centrifugo")

    def start(self):
        self.port = free_port()
        config = {
            "http_server": {"address": "127.0.0.1", "port": str(self.port)},
            "client": {"token": {"hmac_secret_key": SECRET}, "allowed_origins": ["*"]},
            "websocket": {"compression": False},
            "engine": {"type": "memory"},
            "channel": {
                "namespaces": [
                    {
                        "name": "chat",
                        "history_size": 100,
                        "history_ttl": "300s",
                        "allow_subscribe_for_client": True,
                        "allow_publish_for_client": True,
                    }
                ]
            },
            "log": {"level": "error"},
        }
        path = self.folder / "config.json"
        path.write_text(json.dumps(config))
        self.spawn("centrifugo", self.program, "-c", path)
        self.await_port(self.port)
