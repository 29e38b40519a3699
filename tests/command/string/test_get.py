def test_get_and_strlen(same):
    assert same("GET k") is None
    assert same("STRLEN k") == 0
    same("SET k 12345")
    assert same("GET k") == b"12345"
    assert same("STRLEN k") == 5


def test_mget_answers_in_the_order_of_its_keys(same):
    same("MSET a 1 b 2")
    assert same("MGET a nosuch b a") == [b"1", None, b"2", b"1"]


def test_arity(same):
    for line in ("GET", "GET a b", "MGET", "STRLEN", "STRLEN a b"):
        assert same.error(line).startswith("ERR wrong number of arguments")
