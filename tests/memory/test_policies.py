"""Redis's eight policies under their names: what each keeps and what each loses, so that no other passes for it.

Keys are of six classes, written at the same moment: without a deadline, with a near one, with a far one; and of each, keys
that were used often then and not since, and keys that were used once, half a minute later. Then a sixth of them has to go.
"""
import itertools

import pytest

LARDER_ARGS = ["--maxmemory", "4mb"]                            # few shards: what a sample sees is what all keys are
DEADLINES = {"none": None, "near": 1000, "far": 100_000}
CLASSES = [f"{deadline} {use}" for deadline, use in itertools.product(DEADLINES, ("often", "late"))]
KEYS = 600                                                      # of each class
ALL, OFTEN, LATE = set(CLASSES), {c for c in CLASSES if "often" in c}, {c for c in CLASSES if "late" in c}
TIMED, NEAR = {c for c in CLASSES if "none" not in c}, {c for c in CLASSES if "near" in c}

LOSES = {
    "allkeys-lru":     OFTEN,
    "allkeys-lfu":     LATE,
    "allkeys-random":  ALL,
    "volatile-lru":    OFTEN & TIMED,
    "volatile-lfu":    LATE & TIMED,
    "volatile-random": TIMED,
    "volatile-ttl":    NEAR,
    "noeviction":      set(),
}


def fill(server, larder):
    """The classes in turn: where a second ends meanwhile, it ends for all of them."""
    pipe = larder.pipeline(transaction=False)
    for number, name in itertools.product(range(KEYS), CLASSES):
        pipe.set(f"{name} {number}", "v" * 100, ex=DEADLINES[name.split()[0]])
    for number, name in itertools.product(range(KEYS), sorted(OFTEN)):
        pipe.touch(*[f"{name} {number}"] * 50)
    pipe.execute()
    server.clock.advance(30_000)
    for number in range(KEYS):
        pipe.touch(*(f"{name} {number}" for name in sorted(LATE)))
    pipe.execute()


def squeeze(larder):
    """Takes the memory of a sixth of the keys away; whether writes are refused."""
    before = larder.dbsize()
    limit = int(larder.info("memory")["used_memory"] * 0.85)
    larder.config_set("maxmemory", limit)
    try:
        while larder.info("memory")["used_memory"] > limit:
            larder.setrange("x", 0, "")                         # may be refused, changes nothing
        return False
    except Exception as error:
        assert "command not allowed when used memory > 'maxmemory'" in str(error)
        assert larder.dbsize() == before
        return True
    finally:
        larder.config_set("maxmemory", "4mb")


@pytest.mark.parametrize("policy", LOSES)
def test_what_a_policy_loses(server, larder, policy):
    larder.config_set("maxmemory-policy", policy)
    fill(server, larder)
    assert squeeze(larder) == (policy == "noeviction")
    pipe = larder.pipeline(transaction=False)
    for name in CLASSES:
        pipe.exists(*(f"{name} {number}" for number in range(KEYS)))
    lost = {name: KEYS - left for name, left in zip(CLASSES, pipe.execute())}
    loses = {name for name, count in lost.items() if count > KEYS // 20}
    assert loses == LOSES[policy], lost
    assert all(lost[name] > KEYS // 12 for name in loses), lost


def test_no_two_policies_lose_the_same():
    assert len({frozenset(classes) for classes in LOSES.values()}) == 8
