import pytest

FIELDS = ("id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem rbs rbp obl oll omem tot-mem "
          "events cmd user redir resp lib-name lib-ver").split()


def fields(line):
    return dict(word.split("=", 1) for word in line.decode().strip().split(" "))


@pytest.mark.parametrize("line", ["CLIENT SETNAME me", "CLIENT SETNAME ''", "CLIENT SETNAME 'a b'", "CLIENT SETNAME a\x7f", "CLIENT GETNAME",
                                  "CLIENT NO-EVICT on", "CLIENT NO-EVICT OFF", "CLIENT NO-EVICT what", "CLIENT REPLY what", "CLIENT REPLY",
                                  "CLIENT LIST TYPE strange", "CLIENT LIST TYPE pubsub", "CLIENT LIST TYPE", "CLIENT LIST ID", "CLIENT LIST ID x",
                                  "CLIENT LIST ID 99999999", "CLIENT LIST all", "CLIENT INFO x"])
def test_replies(same, line):
    same(line)
    same("CLIENT GETNAME")


def test_info_has_the_fields_of_redis(server):
    with server.raw() as raw:
        raw.call("CLIENT", "SETNAME", "me")
        raw.call("SELECT", 3)
        assert raw.call("CLIENT", "SETINFO", "LIB-NAME", "redis-py(django_v6.1)") == b"OK"
        assert raw.call("CLIENT", "SETINFO", "lib-ver", "1.2") == b"OK"
        info = fields(raw.call("CLIENT", "INFO"))
        assert list(info) == FIELDS
        assert (info["name"], info["db"], info["cmd"], info["resp"]) == ("me", "3", "client|info", "2")
        assert (info["lib-name"], info["lib-ver"]) == ("redis-py(django_v6.1)", "1.2")
        assert int(info["id"]) == raw.call("CLIENT", "ID")
        assert info["laddr"].endswith(f":{server.port}")


def test_setinfo_refuses(ask):
    assert ask("CLIENT SETINFO lib-ver 'a b'") == b"ERR lib-ver cannot contain spaces, newlines or special characters."
    assert ask("CLIENT SETINFO colour red") == b"ERR Unrecognized option 'colour'"


def test_list_shows_everybody_on_every_worker(start_larder):
    server = start_larder(args=["--threads", 2])
    raws = [server.raw() for _ in range(8)]
    ids = [raw.call("CLIENT", "ID") for raw in raws]
    assert len(set(ids)) == 8
    lines = [fields(line) for line in raws[0].call("CLIENT", "LIST").splitlines()]
    assert sorted(int(line["id"]) for line in lines) == sorted(ids)
    some = raws[0].call("CLIENT", "LIST", "ID", ids[3], ids[5], 999999).splitlines()
    assert sorted(int(fields(line)["id"]) for line in some) == sorted([ids[3], ids[5]])
    for raw in raws[1:]:
        raw.close()
    for _ in range(1000):       # the server hears of it a moment later
        lines = raws[0].call("CLIENT", "LIST").splitlines()
        if len(lines) == 1:
            break
    assert len(lines) == 1
    raws[0].close()


def test_reply_modes(server):
    with server.raw() as raw:
        raw.send(b"CLIENT REPLY SKIP\r\nPING a\r\nPING b\r\nCLIENT REPLY OFF\r\nPING c\r\nPING d\r\nCLIENT REPLY ON\r\nPING e\r\n")
        assert [raw.read_reply() for _ in range(3)] == [b"b", b"OK", b"e"]


@pytest.mark.concurrency
def test_list_while_others_come_and_change(start_larder, scale):
    import threading

    server = start_larder(args=["--threads", 2])

    def change():
        for i in range(scale(small=30, normal=100, long=1000)):
            with server.raw() as raw:
                raw.call("CLIENT", "SETNAME", f"name{i}")
                raw.call("HELLO", 3)
                raw.call("SELECT", i % 16)
                raw.call("RESET")

    threads = [threading.Thread(target=change) for _ in range(4)]
    for thread in threads:
        thread.start()
    with server.raw() as raw:
        while any(thread.is_alive() for thread in threads):
            for line in raw.call("CLIENT", "LIST").splitlines():
                assert list(fields(line)) == FIELDS
    for thread in threads:
        thread.join()
