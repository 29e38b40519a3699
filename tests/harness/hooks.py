"""The hooks of a server built with test_hooks: a clock that is moved, memory that is refused, and pause points that hold
a race still."""
import mmap
import time


class Clock:
    """LARDER_CLOCK_FILE: 16 bytes, two little-endian int64, added to the server's wall clock and monotonic clock (ms)."""

    def __init__(self, path):
        path.write_bytes(bytes(16))
        with open(path, "r+b") as file:
            self._offsets = memoryview(mmap.mmap(file.fileno(), 16)).cast("q")

    def advance(self, ms):
        """Time passes: both clocks go on."""
        self._offsets[1] += ms
        self._offsets[0] += ms

    def step_wall(self, ms):
        """Somebody sets the wall clock; the monotonic clock knows nothing of it."""
        self._offsets[0] += ms


class Memory:
    """LARDER_MEMORY_FILE: four little-endian uint64, src/os/mem.h: which allocations of the server fail."""

    def __init__(self, path):
        path.write_bytes(bytes(32))
        with open(path, "r+b") as file:
            self._words = memoryview(mmap.mmap(file.fileno(), 32)).cast("Q")

    def refuse(self, *, every=0, once=0):
        """Each so manieth from now on, or the one that comes after so many; nothing any more without either."""
        self._words[3] = 0
        self._words[0], self._words[1] = every, once

    @property
    def refused(self):
        return self._words[2]


class Pause:
    """A pause point: a server thread that comes to NAME waits there while LARDER_PAUSE_DIR/NAME exists.

        with server.pause("load-done") as point:
            ...start something...
            point.wait_reached()        # now it stands there
            ...do what must come in between...
            point.release()             # the end of the block releases too
    """

    def __init__(self, directory, name):
        self._file = directory / name
        self._reached = directory / f"{name}.reached"

    def __enter__(self):
        self._reached.unlink(missing_ok=True)
        self._file.touch()
        return self

    def __exit__(self, *_):
        self.release()

    def wait_reached(self, timeout=10):
        deadline = time.monotonic() + timeout
        while not self._reached.exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no thread came to the pause point {self._file.name} in {timeout} s")
            time.sleep(0.002)

    def release(self):
        self._file.unlink(missing_ok=True)
