# SPDX-License-Identifier: Apache-2.0
"""A group of 256, all online: one who talks with 8 messages in flight, then all with one each. In flight until all others have it."""

from runner.server import Chatd, Relay
from scenarios.beside import measure_beside

MEMBERS = 256
FORMS = {"one talks": {"talkers": 1, "window": 8}, "all talk": {"talkers": MEMBERS, "window": 1}}


def load(bench):
    members = bench.size(MEMBERS, MEMBERS, 16)
    return {"workload": "group", "clients": members, "room": members, "body": 128}


def group_256(bench):
    for form, options in FORMS.items():
        with Chatd(bench) as server, Relay(bench, "relay_fan") as baseline:
            measure_beside(bench, f"group_256 {form}", "delivery", "<= 1.5", server, baseline, **load(bench), **options)


SCENARIOS = {"group_256": group_256}
