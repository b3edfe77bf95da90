# SPDX-License-Identifier: Apache-2.0
import pytest
from chatd import Chatd


@pytest.fixture
def server():
    """A chatd in --dev-mode for one test, which may stop, kill and restart it."""
    with Chatd() as running:
        yield running
