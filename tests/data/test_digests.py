import os
import shutil
import sqlite3
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from frostline.data.digests import DigestCache
from frostline.data.pictures.picture import content_digest
from frostline.errors import DecodeError
from tests.data.pictures import save


class Cache(DigestCache):
    """One that also believes files touched a moment ago, as these are."""

    def __init__(self, path, compute=content_digest):
        super().__init__(path, compute, fresh=0)


class Counting:
    def __init__(self):
        self.asked = []

    def __call__(self, picture):
        self.asked.append(picture)
        return content_digest(picture)


def old(path, seconds=100):
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def test_a_file_seen_before_is_not_read_again_until_it_changes(tmp_path):
    path, count = old(save(tmp_path / "a.png")), Counting()
    for _ in range(2):
        with Cache(tmp_path / "cache" / "digests.sqlite", count) as cache:
            assert cache(path) == content_digest(path)
    assert len(count.asked) == 1
    old(save(path, seed=5), 50)
    with DigestCache(tmp_path / "cache" / "digests.sqlite", count) as cache:
        assert cache(path) == content_digest(path)
    assert len(count.asked) == 2


def test_a_file_changed_a_moment_ago_is_not_trusted(tmp_path):
    path, count = save(tmp_path / "a.png"), Counting()
    for _ in range(2):
        with DigestCache(tmp_path / "digests.sqlite", count) as cache:
            cache(path)
    assert len(count.asked) == 2


def test_bytes_are_digested_and_missing_files_refused(tmp_path):
    with DigestCache(tmp_path / "digests.sqlite") as cache:
        assert cache(b"abc") == content_digest(b"abc")
        with pytest.raises(DecodeError, match="no such file"):
            cache(tmp_path / "none.png")


@pytest.mark.parametrize("damage", ["garbage", "folder", "other table"])
def test_a_cache_that_is_no_cache_costs_time_and_nothing_else(tmp_path, damage):
    place = tmp_path / "digests.sqlite"
    if damage == "garbage":
        place.write_bytes(b"this is no database" * 100)
    elif damage == "folder":
        place.mkdir()
    else:
        with sqlite3.connect(place) as other:
            other.execute("CREATE TABLE digests (x INT)")
        other.close()
    path = old(save(tmp_path / "a.png"))
    for _ in range(2):
        with DigestCache(place) as cache:
            assert cache(path) == content_digest(path)


def test_two_caches_and_many_threads_share_a_file(tmp_path):
    paths = [old(save(tmp_path / f"{n}.png", seed=n)) for n in range(40)]
    expected = [content_digest(path) for path in paths]
    place = tmp_path / "digests.sqlite"
    with Cache(place) as one, Cache(place) as two, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, paths)) == expected == list(pool.map(two, paths))
    count = Counting()
    with Cache(place, count) as cache:
        assert [cache(path) for path in paths] == expected
    assert not count.asked


def swapped(one, two):
    spare = one.with_name("spare")
    one.rename(spare)
    two.rename(one)
    spare.rename(two)


def overwritten_in_place(one, two):
    times = one.stat().st_atime_ns, one.stat().st_mtime_ns
    content = two.read_bytes()
    with one.open("r+b") as file:
        file.write(content)
    os.utime(one, ns=times)


def copied_with_its_time(one, two):
    shutil.copy2(two, one)
    os.utime(one, (THEN, THEN))


def folders_swapped(one, two):
    swapped(one.parent, two.parent)


def unpacked_over_it(one, two):
    with tarfile.open(one.parent.parent / "x.tar", "w") as tar:
        tar.add(two, arcname=one.name)
    with tarfile.open(one.parent.parent / "x.tar") as tar:
        tar.extractall(one.parent, filter="data")


def a_link_turned(one, two):
    one.unlink()
    one.symlink_to(two)


THEN = 1_600_000_000


@pytest.mark.parametrize(
    "how", [swapped, overwritten_in_place, copied_with_its_time, folders_swapped, unpacked_over_it, a_link_turned]
)
def test_other_bytes_of_the_same_size_and_time_are_seen(tmp_path, how):
    one, two = tmp_path / "ants" / "0.bmp", tmp_path / "bees" / "0.bmp"
    for path, seed in ((one, 1), (two, 2)):
        path.parent.mkdir()
        Image.fromarray(np.full((20, 20, 3), seed, np.uint8)).save(path)
        os.utime(path, (THEN, THEN))
    count = Counting()
    with Cache(tmp_path / "digests.sqlite", count) as cache:
        before = cache(one), cache(two)
    with Cache(tmp_path / "digests.sqlite", count) as cache:
        assert (cache(one), cache(two)) == before
    assert len(count.asked) == 2
    how(one, two)
    assert one.stat().st_size == two.stat().st_size
    assert one.stat().st_mtime == THEN
    with Cache(tmp_path / "digests.sqlite") as cache:
        assert (cache(one), cache(two)) == (content_digest(one), content_digest(two)) != before


def test_where_the_file_system_keeps_no_fine_time_the_file_is_read(tmp_path, monkeypatch):
    path, count = save(tmp_path / "a.png"), Counting()
    real = Path.stat

    def coarse(self, **how):
        found = real(self, **how)
        whole = {"st_ctime_ns": found.st_ctime_ns // 10**9 * 10**9}
        return SimpleNamespace(**{n: getattr(found, n) for n in dir(found) if n.startswith("st_")} | whole)

    monkeypatch.setattr(Path, "stat", coarse)
    for _ in range(2):
        with Cache(tmp_path / "digests.sqlite", count) as cache:
            assert cache(path) == content_digest(path)
    assert len(count.asked) >= 2


def test_a_flipped_byte_of_the_database_never_gives_another_digest(tmp_path):
    paths = [old(save(tmp_path / f"{n}.png", seed=n)) for n in range(4)]
    expected = [content_digest(path) for path in paths]
    place = tmp_path / "digests.sqlite"
    with Cache(place) as cache:
        assert [cache(path) for path in paths] == expected
    whole = place.read_bytes()
    random = np.random.default_rng(0)
    inside = [whole.index(digest.encode()) + 3 for digest in expected]
    for at in (*inside, *random.integers(0, len(whole), 60)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        place.write_bytes(damaged)
        with Cache(place) as cache:
            assert [cache(path) for path in paths] == expected
