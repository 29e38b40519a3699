"""How much a run does: LARDER_TEST_SCALE (small under sanitizers, normal, long), and the seed of all that is random."""
import os
import random

SCALE = os.environ.get("LARDER_TEST_SCALE", "normal")
SEED = int(os.environ.get("LARDER_SEED") or random.SystemRandom().randrange(1 << 32))

assert SCALE in ("small", "normal", "long"), f"LARDER_TEST_SCALE={SCALE}"


def scale(*, small, normal, long):
    """The one of the three that belongs to this run."""
    return {"small": small, "normal": normal, "long": long}[SCALE]
