"""What the tests of single commands share."""
import shlex

import pytest

from harness import resp


class Pair:
    """Larder and Redis, each with an empty keyspace and a connection in the same protocol."""

    def __init__(self, larder, redis, protocol):
        self.protocol = protocol
        self.connections = larder.raw(), redis.raw()
        for connection in self.connections:
            connection.call("FLUSHALL")
            if protocol == 3:
                connection.call("HELLO", 3)

    def __call__(self, *words):
        """Sends a command to both: one line that is split as a shell would, or words as they are. Returns the reply, which is the same."""
        if len(words) == 1:
            words = shlex.split(words[0])
        larder, redis = (connection.call(*words) for connection in self.connections)
        assert (type(larder), larder) == (type(redis), redis), f"{words}: Larder {larder!r}, Redis {redis!r}"
        return larder

    def error(self, *words):
        """The same for a command that is refused; returns the error as text."""
        reply = self(*words)
        assert isinstance(reply, resp.Error), f"{words}: {reply!r}"
        return reply.decode()

    def close(self):
        for connection in self.connections:
            connection.close()


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def same(request, server, redis_server):
    """same("SET k v NX"): the reply, after a check that Redis gives the same; under RESP2 and RESP3."""
    pair = Pair(server, redis_server, request.param)
    yield pair
    pair.close()


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def ask(request, server):
    """ask("DELEX k"): the reply of Larder alone, for what the real server does not know yet; under RESP2 and RESP3."""
    with server.raw() as connection:
        connection.call("FLUSHALL")
        if request.param == 3:
            connection.call("HELLO", 3)

        def call(*words):
            return connection.call(*(shlex.split(words[0]) if len(words) == 1 else words))

        yield call
