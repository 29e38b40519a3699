def test_getdel_returns_the_value_once(same):
    same("SET k v")
    assert same("GETDEL k") == b"v"
    assert same("GETDEL k") is None
    assert same("EXISTS k") == 0
