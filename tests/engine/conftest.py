"""The engine's tests run in virtual time, against scripted providers."""

import pytest

from tests.engine.scripted import World
from tests.virtual_time import VirtualClock, loop_factories

pytest_asyncio_loop_factories = loop_factories


@pytest.fixture
def virtual() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def world(virtual: VirtualClock) -> World:
    return World(virtual)
