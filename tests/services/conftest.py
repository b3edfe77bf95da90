# SPDX-License-Identifier: Apache-2.0
import pathlib
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "integration")]  # chatd, cli: the same processes as there

from redis_servers import BUILD, RedisServers, missing  # noqa: E402


@pytest.fixture
def redis(request):
    """Redis servers for one test, of the form that it asks for (else one)."""
    if reason := missing():
        pytest.skip(reason)
    if not (BUILD / "tests" / "services_directory_redis").exists():
        pytest.skip("this build has no hiredis")
    with RedisServers(getattr(request, "param", "single")) as servers:
        yield servers
