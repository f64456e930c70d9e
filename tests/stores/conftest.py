"""Stores run in virtual time."""

import pytest

from tests.virtual_time import VirtualClock, loop_factories

pytest_asyncio_loop_factories = loop_factories


@pytest.fixture
def virtual() -> VirtualClock:
    return VirtualClock()
