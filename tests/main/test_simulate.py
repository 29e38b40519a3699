"""`larder simulate`: hit ratios of a trace, by policy and size."""
import gzip
import pathlib

import pytest

TRACES = pathlib.Path(__file__).resolve().parents[3] / "shared/data/traces"
POLICIES = {"volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "allkeys-lru", "allkeys-lfu", "allkeys-random",
            "noeviction", "adaptive", "optimum"}


def table(done):
    """The ratios, by policy."""
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[3:-1]]
    return {row[0]: [float(ratio) for ratio in row[1:]] for row in rows}


@pytest.fixture
def zipf(tmp_path, rng, scale):
    """A trace of keys by Zipf's law, with a scan in between."""
    count = scale(small=20_000, normal=40_000, long=400_000)
    lines = [f"k{int(2000 ** rng.random())}" for _ in range(count)]
    lines[count // 2:count // 2] = [f"scan{i}" for i in range(2000)]
    file = tmp_path / "trace.txt"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_every_policy_beside_the_optimum(run_larder, zipf):
    done = run_larder("simulate", zipf, "--sizes", "250kb,500kb,4mb", "--value-bytes", 500)
    ratios = table(done)
    assert set(ratios) == POLICIES
    assert done.stdout.splitlines()[2].split() == ["maxmemory", "250.00K", "500.00K", "4.00M"]
    for policy, row in ratios.items():
        assert row == sorted(row), policy                      # more memory never hurts here
        assert all(ratio <= best for ratio, best in zip(row, ratios["optimum"])), policy
        assert row[2] == ratios["optimum"][2], policy          # everything fits
    assert ratios["adaptive"][0] > ratios["allkeys-lru"][0] > ratios["allkeys-random"][0]


def test_the_same_trace_gives_the_same_ratios(run_larder, zipf):
    once, again = (run_larder("simulate", zipf, "--policy", "adaptive,allkeys-lfu").stdout for _ in range(2))
    assert once == again
    assert [line.split()[0] for line in once.splitlines()[2:]] == ["maxmemory", "allkeys-lfu", "adaptive", "optimum", "keys"]


def test_sizes_of_values_count(run_larder, tmp_path):
    file = tmp_path / "trace.txt"
    file.write_text("".join(f"{i % 50} {size}\n" for size in ("1kb", 10) for i in range(500)))
    small, large = table(run_larder("simulate", file, "--sizes", "64kb,1mb", "--policy", "allkeys-lru"))["allkeys-lru"]
    assert large == 0.95 and 0.85 < small <= 0.95              # the second half's would not fit with the first half's size


def test_what_is_missed_twice_in_a_window_is_missed_twice(run_larder, tmp_path):
    file = tmp_path / "trace.txt"
    file.write_text("a\na\nb\na\nb\n")
    for window, ratio in ((1, 0.6), (2, 0.4), (5, 0)):
        done = run_larder("simulate", file, "--sizes", "1mb", "--window", window)
        assert {row[0] for row in table(done).values()} == {ratio}
        assert done.stdout.splitlines()[-1].split() == ["keys", "2"]


def test_what_is_wrong_is_said_with_file_and_line(run_larder, tmp_path):
    file = tmp_path / "trace.txt"
    file.write_text("a\nb\nc much\n")
    done = run_larder("simulate", file)
    assert done.returncode == 6 and f"{file}:3: " in done.stderr and done.stdout == ""
    done = run_larder("simulate", tmp_path / "absent")
    assert done.returncode == 4 and "absent: No such file" in done.stderr
    file.write_text("")
    assert run_larder("simulate", file).returncode == 6


@pytest.mark.parametrize("words", [[], ["FILE", "--sizes"], ["FILE", "--sizes", "few"], ["FILE", "--sizes", "1kb"],
                                   ["FILE", "--policy", "best"], ["FILE", "--rate", "0"], ["FILE", "--nothing", "1"]])
def test_usage(run_larder, tmp_path, words):
    file = tmp_path / "trace.txt"
    file.write_text("a\n")
    done = run_larder("simulate", *[file if word == "FILE" else word for word in words])
    assert done.returncode == 2 and done.stderr and done.stdout == ""


def test_help(run_larder):
    done = run_larder("simulate", "--help")
    assert done.returncode == 0 and "usage: larder simulate" in done.stdout


def unpack(tmp_path, name):
    packed = TRACES / f"{name}.txt.gz"
    if not packed.exists():
        pytest.skip(f"{packed} is not there")
    file = tmp_path / f"{name}.txt"
    file.write_bytes(gzip.decompress(packed.read_bytes()))
    return file


def test_a_real_trace(run_larder, tmp_path):
    ratios = table(run_larder("simulate", unpack(tmp_path, "web12"), "--sizes", "1500kb,4mb,8mb"))
    others = [row for policy, row in ratios.items() if policy not in ("adaptive", "optimum")]
    assert all(ours > max(theirs) for ours, *theirs in zip(ratios["adaptive"], *others))
    assert ratios["adaptive"][1] >= 0.80
