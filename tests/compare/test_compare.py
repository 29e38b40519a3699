"""The same random commands to Larder and to a real redis-server get the same replies."""
import random

import pytest

from compare import compare, wire
from harness.scale import SEED


def rounds(number):
    return random.Random(f"{SEED} {number}")


@pytest.fixture
def duel(redis_server, server):
    duel = compare.Duel(redis_server, server)
    yield duel
    duel.close()


@pytest.mark.limit(7200)
def test_same_replies(duel, scale):
    compare.compare(duel, rounds, scale(small=50_000, normal=300_000, long=10_000_000))
