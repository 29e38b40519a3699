def test_value_time_and_encoding_move(same):
    same("SET a 5 EXAT 99999999999")
    same("SET b other EX 5")
    assert same("RENAME a b") == b"OK"
    assert same("GET b") == b"5"
    assert same("EXPIRETIME b") == 99999999999
    assert same("OBJECT ENCODING b") == b"int"
    assert same("EXISTS a") == 0


def test_without_time_the_old_time_goes(same):
    same("SET a 5")
    same("SET b other EX 100")
    same("RENAME a b")
    assert same("TTL b") == -1


def test_to_itself(same):
    same("SET a 5 EX 100")
    assert same("RENAME a a") == b"OK"
    assert same("RENAMENX a a") == 0
    assert same("TTL a") == 100


def test_what_is_not_there(same):
    for line in ("RENAME nosuch b", "RENAME nosuch nosuch", "RENAMENX nosuch b", "RENAMENX nosuch nosuch"):
        assert same.error(line) == "ERR no such key"


def test_renamenx(same):
    same("MSET a 1 b 2")
    assert same("RENAMENX a b") == 0
    assert same("RENAMENX a c") == 1
    assert same("MGET a b c") == [None, b"2", b"1"]
