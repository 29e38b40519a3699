"""The program as a package sees it: what it answers without serving, and what `meson install` brings."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from harness.server import ROOT, binary


def test_version(run_larder):
    done = run_larder("--version")
    assert done.returncode == 0 and re.fullmatch(r"larder \d+\.\d+\.\d+\n", done.stdout)


def test_help(run_larder):
    done = run_larder("--help")
    assert done.returncode == 0 and "larder [FILE] [--directive value ...]" in done.stdout


def test_install(tmp_path):
    build = pathlib.Path(binary()).parent
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--destdir", tmp_path],
                   check=True, capture_output=True, timeout=60)
    files = {str(f.relative_to(tmp_path)): f for f in tmp_path.rglob("*") if f.is_file()}
    assert set(files) == {
        "usr/local/bin/larder", "usr/local/etc/larder/larder.conf",
        "usr/local/lib/systemd/system/larder.service", "usr/local/share/man/man1/larder.1",
    }
    unit = files["usr/local/lib/systemd/system/larder.service"].read_text()
    assert "ExecStart=/usr/local/bin/larder /usr/local/etc/larder/larder.conf --supervised systemd\n" in unit
    assert "Type=notify\n" in unit and "WatchdogSec=" in unit
    assert "@" not in re.sub(r"@(system-service|privileged|resources)\b", "", unit)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_unit_file_is_understood(tmp_path):
    """systemd-analyze verify has nothing to say about the unit, with /bin/true in the program's place."""
    text = (ROOT / "packaging" / "larder.service.in").read_text()
    unit = tmp_path / "larder.service"
    unit.write_text(text.replace("@bindir@/larder", "/bin/true").replace("@sysconfdir@", "/etc"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60,
                          check=False, env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"})
    assert "larder.service" not in done.stderr, done.stderr


def test_shop_is_the_same_every_time(tmp_path):
    for name in ("one.db", "two.db"):
        subprocess.run([ROOT / "scripts" / "shop-db", tmp_path / name], check=True, capture_output=True, timeout=60)
    dumps = [subprocess.run(["sqlite3", tmp_path / name, ".dump"], check=True, capture_output=True, timeout=60).stdout
             for name in ("one.db", "two.db")]
    assert dumps[0] == dumps[1] and dumps[0].count(b"INSERT INTO product ") == 1000
