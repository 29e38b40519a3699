import pytest


def test_copy(same):
    same("SET a 5 EXAT 99999999999")
    assert same("COPY a b") == 1
    assert same("COPY a b") == 0
    same("SET a 6")
    assert same("COPY a b REPLACE replace") == 1
    assert same("GET b") == b"6"
    assert same("TTL b") == -1
    assert same("COPY nosuch c") == 0


def test_copy_between_databases(same):
    same("SET a 5 EXAT 99999999999")
    assert same("COPY a a DB 1") == 1
    assert same("COPY a b DB 1") == 1
    assert same("COPY a a DB 1") == 0
    assert same("COPY a a DB 0 DB 1 REPLACE") == 1
    same("SELECT 1")
    assert same("GET b") == b"5"
    assert same("EXPIRETIME b") == 99999999999
    assert same("COPY b b DB 0") == 1


@pytest.mark.parametrize("options", ["nosuch", "DB", "DB a", "DB 16", "DB -1", "DB 99999999999", "DB 0", "REPLACE DB", "DB a nosuch", "nosuch DB a"])
def test_copy_refuses(same, options):
    same("SET a 5")
    same.error(f"COPY a a {options}")
    same.error(f"COPY nosuch nosuch {options}")


def test_move(same):
    same("SET a 5 EXAT 99999999999")
    assert same("MOVE a 1") == 1
    assert same("MOVE a 1") == 0
    same("SET a 6")
    assert same("MOVE a 1") == 0
    same("SELECT 1")
    assert same("GET a") == b"5"
    assert same("EXPIRETIME a") == 99999999999
    same("SELECT 0")
    assert same("GET a") == b"6"


@pytest.mark.parametrize("db", ["0", "16", "-1", "a", "", "99999999999"])
def test_move_refuses(same, db):
    same.error("MOVE", "nosuch", db)
