# SPDX-License-Identifier: Apache-2.0
import pytest
from integration.chatd import Chatd


@pytest.fixture(scope="module")
def server():
    """One chatd for a file of tests: each of them is other people."""
    with Chatd() as running:
        yield running
