"""scripts/check-floors finds each kind of include that FLOORS forbids, and names the place."""
import pathlib
import subprocess

import pytest

CHECK = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "check-floors"


def check(root, files):
    (root / "FLOORS").write_text("# lowest first\nbase\nos\nsource\n")
    for name, text in {"base/a.h": "", "os/b.h": "", "os/b_priv.h": "", "source/x/c_priv.h": "", **files}.items():
        path = root / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return subprocess.run([CHECK, root], capture_output=True, text=True, timeout=30, check=False)


def test_what_is_allowed(tmp_path):
    done = check(tmp_path, {
        "os/b.c": '#include <stdio.h>\n#include "os/b.h"\n\n#include "base/a.h"\n#include "os/b_priv.h"\n',
        "source/x/c.c": '#include "source/x/c_priv.h"\n#include "os/b.h"\n',
    })
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name, text, fault", [
    ("base/z.c", '\n#include "os/b.h"\n', "src/base/z.c:2: \"os/b.h\" goes up"),
    ("os/z.def", '#include "source/x/c_priv.h"\n', "src/os/z.def:1: \"source/x/c_priv.h\" goes up"),
    ("os/z.c", '#include "b.h"\n', "src/os/z.c:1: \"b.h\" is no path from src/"),
    ("os/z.c", '#include "../base/a.h"\n', "src/os/z.c:1: \"../base/a.h\" is no path from src/"),
    ("os/z.c", '#include <base/a.h>\n', "src/os/z.c:1: <base/a.h> is of this project"),
    ("os/z.c", '# include "base/a.c"\n', "src/os/z.c:1: \"base/a.c\" is a .c file"),
    ("source/z.c", '#include "source/x/c_priv.h"\n', "src/source/z.c:1: \"source/x/c_priv.h\" is private to source/x/"),
    ("source/z.c", '#include "os/b_priv.h"\n', "src/source/z.c:1: \"os/b_priv.h\" is private to os/"),
    ("os/z.c", '#include "base/gone.h"\n', "src/os/z.c:1: \"base/gone.h\" does not exist"),
    ("os/b.c", '#include "base/a.h"\n#include "os/b.h"\n', "src/os/b.c:1: its own \"os/b.h\" comes first"),
    ("attic/z.c", "", "src/attic/z.c: attic is no room of FLOORS"),
])
def test_what_is_not(tmp_path, name, text, fault):
    done = check(tmp_path, {name: text})
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith(fault)
