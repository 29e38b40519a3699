import pytest


@pytest.mark.parametrize("options", ["", "LEN", "IDX", "IDX MINMATCHLEN 4", "IDX WITHMATCHLEN", "IDX WITHMATCHLEN MINMATCHLEN -4",
                                     "MINMATCHLEN 4", "WITHMATCHLEN", "LEN WITHMATCHLEN", "idx len", "nosuch", "MINMATCHLEN", "MINMATCHLEN x"])
def test_options(same, options):
    same("MSET a ohmytext b mynewtext")
    same(f"LCS a b {options}")
    same(f"LCS a nosuch {options}")
    same(f"LCS a a {options}")


def test_random_strings(same, rng, scale):
    for _ in range(scale(small=50, normal=300, long=5000)):
        for key in "ab":
            same("SET", key, "".join(rng.choices("abc", k=rng.randrange(40))))
        same("LCS a b")
        same("LCS a b LEN")
        same("LCS", "a", "b", "IDX", "WITHMATCHLEN", "MINMATCHLEN", rng.randrange(4))


def test_the_table_is_bounded(same):
    same("SET", "a", "x" * 20000)
    same("SET", "b", "y" * 20000)
    assert same.error("LCS a b LEN") == "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
