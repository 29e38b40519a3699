def test_del_and_unlink_count_what_was_there(same):
    same("MSET a 1 b 2 c 3 d 4")
    assert same("DEL a a nosuch") == 1
    assert same("UNLINK b c b") == 2
    assert same("DBSIZE") == 1


def test_exists_and_touch_count_each_mention(same):
    same("MSET a 1 b 2")
    assert same("EXISTS a b a nosuch") == 3
    assert same("TOUCH a b a nosuch") == 3


def test_type(same):
    same("SET k v")
    assert same("TYPE k") == b"string"
    assert same("TYPE nosuch") == b"none"


def test_arity(same):
    for line in ("DEL", "UNLINK", "EXISTS", "TOUCH", "TYPE", "TYPE a b"):
        same.error(line)


def test_a_large_value_goes(larder):
    for command in (larder.delete, larder.unlink):
        larder.set("k", b"x" * (1 << 20))
        assert command("k") == 1 and larder.get("k") is None
