import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from frostline.data.decode import content_digest
from frostline.data.digests import DigestCache
from frostline.errors import DecodeError
from tests.data.pictures import save


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
        with DigestCache(tmp_path / "cache" / "digests.sqlite", count) as cache:
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
    with DigestCache(place) as one, DigestCache(place) as two, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, paths)) == expected == list(pool.map(two, paths))
    count = Counting()
    with DigestCache(place, count) as cache:
        assert [cache(path) for path in paths] == expected
    assert not count.asked
