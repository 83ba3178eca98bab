"""The activation store: rows are whole or absent, damage is found out, and nothing is computed twice."""

import json
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from frostline import ImageClassifier
from frostline.data.manifest import Manifest, Row
from frostline.data.views import EvaluationView, Preprocessing
from frostline.errors import EngineError, StoreError
from frostline.features import store_file
from frostline.features.fill import computed, fill
from frostline.features.store import Address, Store
from frostline.inference.engine import Pixels
from frostline.inference.torch_engine import Plain

ADDRESS = Address("prefix", "view", "torch", "fp32")
NAMES = [f"{number:032x}" for number in range(6)]
ROWS = np.arange(24, dtype=np.float32).reshape(6, 4)


def test_rows_come_back_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    shelf = Store(tmp_path).shelf(ADDRESS)
    shelf.write(NAMES[:4], ROWS[:4])
    shelf.write(NAMES[4:], ROWS[4:])
    np.testing.assert_array_equal(shelf.read([NAMES[5], NAMES[0], NAMES[5]]), ROWS[[5, 0, 5]])
    assert shelf.missing([*NAMES, "other", "other"]) == ["other"]
    assert NAMES[3] in shelf
    assert len(shelf) == 6
    with pytest.raises(StoreError, match="1 of 2 rows are not in the store"):
        shelf.read([NAMES[0], "other"])


def test_another_process_sees_them_and_another_address_does_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, same = store.shelf(ADDRESS), Store(tmp_path).shelf(ADDRESS)
    one.write(NAMES, ROWS)
    assert same.missing(NAMES) == []
    for other in (
        Address("other", "view", "torch", "fp32"),
        Address("prefix", "other", "torch", "fp32"),
        Address("prefix", "view", "openvino", "fp32"),
        Address("prefix", "view", "torch", "bf16"),
    ):
        assert store.shelf(other).missing(NAMES) == NAMES


@pytest.mark.parametrize("place", ["front", "header", "rows", "end"])
def test_a_damaged_block_is_found_out_and_its_rows_are_missing(tmp_path: Path, place: str) -> None:
    Store(tmp_path).shelf(ADDRESS).write(NAMES[:3], ROWS[:3])
    (spoilt,) = tmp_path.rglob("*.safetensors")
    Store(tmp_path).shelf(ADDRESS).write(NAMES[3:], ROWS[3:])
    whole = bytearray(spoilt.read_bytes())
    if place == "end":
        spoilt.write_bytes(whole[:-5])
    else:
        whole[{"front": 3, "header": 90, "rows": len(whole) - 7}[place]] ^= 0xFF
        spoilt.write_bytes(whole)
    shelf = Store(tmp_path).shelf(ADDRESS)
    assert shelf.missing(NAMES) == NAMES[:3]
    np.testing.assert_array_equal(shelf.read(NAMES[3:]), ROWS[3:])
    assert not spoilt.exists()
    shelf.write(NAMES[:3], ROWS[:3])
    np.testing.assert_array_equal(shelf.read(NAMES), ROWS)


def test_folders_in_place_of_files_cost_a_recomputation(tmp_path: Path) -> None:
    shelf = Store(tmp_path).shelf(ADDRESS)
    shelf.write(["a"], np.ones((1, 4), np.float32))
    shelf.close()
    for path in (*(tmp_path / ADDRESS.key).iterdir(), tmp_path / f"{ADDRESS.key}.lock"):
        path.unlink()
        path.mkdir()
    again = Store(tmp_path).shelf(ADDRESS)
    assert again.missing(["a"]) == ["a"]
    again.write(["a"], np.full((1, 4), 2, np.float32))
    assert again.read(["a"]).tolist() == [[2, 2, 2, 2]]


def test_features_open_elsewhere(tmp_path: Path) -> None:
    Store(tmp_path).shelf(ADDRESS).write(NAMES, ROWS)
    (block,) = tmp_path.rglob("*.safetensors")
    with safe_open(block, framework="numpy") as file:
        np.testing.assert_array_equal(file.get_tensor("rows"), ROWS)
        facts = file.metadata()
    assert json.loads(facts["digests"]) == NAMES
    assert int(facts["crc32"]) == zlib.crc32(ROWS.tobytes())


def test_every_flipped_bit_of_a_header_is_found_out(tmp_path: Path) -> None:
    block = store_file.write(tmp_path, NAMES, ROWS)
    whole = block.path.read_bytes()
    for place in range(block.offset):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1
        block.path.write_bytes(spoilt)
        try:
            found = store_file.read_header(block.path)
            mapped = found.verified().rows
        except store_file.Damaged:
            continue
        assert found.digests == tuple(NAMES)  # padding, or a name that nobody reads
        np.testing.assert_array_equal(mapped, ROWS)


def test_what_a_killed_writer_left_is_swept_and_never_read(tmp_path: Path) -> None:
    shelf = Store(tmp_path).shelf(ADDRESS)
    shelf.write(NAMES[:2], ROWS[:2])
    (block,) = tmp_path.rglob("*.safetensors")
    (block.parent / "left.tmp").write_bytes(block.read_bytes()[:50])
    shelf.close()
    again = Store(tmp_path).shelf(ADDRESS)
    assert again.missing(NAMES) == NAMES[2:]
    assert not list(tmp_path.rglob("*.tmp"))


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    shelf = Store(tmp_path).shelf(ADDRESS)
    shelf.write(NAMES[:1], ROWS[:1])
    with pytest.raises(StoreError, match="rows of float32"):
        shelf.write(NAMES[1:2], ROWS[1:2, :3])


def test_the_limit_removes_the_shelf_used_longest_ago_and_never_one_in_use(tmp_path: Path) -> None:
    block = np.zeros((1, 1000), np.uint8)
    store = Store(tmp_path, limit=4500)
    shelves = {}
    for age, name in enumerate(["old", "newer", "newest"]):
        shelf = shelves[name] = store.shelf(Address(name, "view", "torch", "fp32"))
        shelf.write([NAMES[0]], block)
        os.utime(tmp_path / f"{shelf.address.key}.lock", (age, age))
    for name in ("old", "newer"):
        shelves.pop(name).close()
    store.make_room(2000)
    left = {usage.key for usage in store.usage()}
    assert Address("old", "view", "torch", "fp32").key not in left
    assert shelves["newest"].missing(NAMES[:1]) == []
    with pytest.raises(StoreError, match="over its limit"):
        store.make_room(4400)
    assert shelves["newest"].missing(NAMES[:1]) == []


def test_clear_empties_it_and_usage_says_what_there_is(tmp_path: Path) -> None:
    store = Store(tmp_path)
    shelf = store.shelf(ADDRESS)
    shelf.write(NAMES, ROWS)
    (usage,) = store.usage()
    assert usage.rows == 6
    assert usage.bytes > ROWS.nbytes
    assert "torch fp32" in usage.about
    assert store.clear() == 0  # it is in use
    shelf.close()
    assert store.clear() == usage.bytes
    assert store.usage() == []


def drawn(folder: Path, count: int) -> list[Path]:
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for number in range(count):
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


class Counting(Pixels):
    def __init__(self) -> None:
        self.seen = 0

    def run(self, batch: np.ndarray) -> np.ndarray:
        self.seen += len(batch)
        return super().run(batch)


def test_equal_pictures_are_computed_once_and_broken_ones_named(tmp_path: Path) -> None:
    paths = drawn(tmp_path / "pictures", 5)
    (tmp_path / "pictures" / "copy.png").write_bytes(paths[0].read_bytes())
    (tmp_path / "pictures" / "broken.png").write_bytes(paths[1].read_bytes()[:60])
    rows = Manifest.of(Row(path, (path.stem[-1],)) for path in sorted((tmp_path / "pictures").iterdir())).rows
    view, engine = EvaluationView(Preprocessing((16, 16))), Counting()
    shelf = Store(tmp_path / "store").shelf(Address("pictures", view.key, "decode", "uint8"))
    skipped = fill(shelf, rows, view, opened=lambda _: engine, batch=2)
    assert engine.seen == 5
    assert [Path(item.name).name for item in skipped] == ["broken.png"]
    assert (
        fill(shelf, [row for row in rows if "broken" not in row.name], view, opened=lambda _: pytest.fail("opened"))
        == []
    )


def test_a_picture_that_was_replaced_since_its_digest_was_taken_is_not_kept_under_it(tmp_path: Path) -> None:
    paths = drawn(tmp_path / "pictures", 4)
    rows = Manifest.of(Row(path, ("ab"[n % 2],)) for n, path in enumerate(paths)).rows
    whole, other = paths[1].read_bytes(), paths[2].read_bytes()
    paths[1].write_bytes(other)
    view = EvaluationView(Preprocessing((16, 16)))
    shelf = Store(tmp_path / "store").shelf(Address("pictures", view.key, "decode", "uint8"))
    skipped = fill(shelf, rows, view, opened=lambda _: Pixels())
    assert [(Path(item.name).name, item.reason) for item in skipped] == [("1.png", "it changed while it was read")]
    paths[1].write_bytes(whole)
    assert fill(shelf, rows, view, opened=lambda _: Pixels()) == []
    np.testing.assert_array_equal(shelf.read([row.digest for row in rows]), np.stack([view(p, "") for p in paths]))
    assert len(next(iter(computed([Row(path) for path in paths], view, lambda _: Pixels(), kept=True))).rows) == 4


def test_another_engine_than_the_shelf_is_for_is_refused(tmp_path: Path) -> None:
    rows = Manifest.of(Row(path, (path.stem,)) for path in drawn(tmp_path / "pictures", 2)).rows
    shelf = Store(tmp_path / "store").shelf(ADDRESS)
    with pytest.raises(EngineError, match="torch fp32, and decode uint8"):
        fill(shelf, rows, EvaluationView(Preprocessing((16, 16))), opened=lambda _: Pixels())


def test_ten_new_pictures_cost_ten(leaves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    seen: list[int] = []
    run = Plain.run
    monkeypatch.setattr(Plain, "run", lambda self, batch: (seen.append(len(batch)), run(self, batch))[1])
    every = sorted((leaves / "train").rglob("*.png"))
    few = [path for path in every if int(path.stem) < 19]
    assert len(every) - len(few) == 10

    def fit(paths: list[Path], **options: object) -> int:
        seen.clear()
        classifier = ImageClassifier(
            model="test_resnet", weights="none", image_size=32, engine="torch", precision="fp32",
            **{"strategy": "probe", "head_crops": 0, **options},
        )  # fmt: skip
        classifier.fit(paths, [path.parent.name for path in paths])
        return sum(seen)

    assert fit(few) >= len(few)  # and the samples on which an engine is tried before it is believed, once
    assert fit(few) == 0
    assert fit(every) == 10
    assert fit(every, head_crops=3) == 3 * len(every)
    assert fit(every, strategy="freeze", epochs=1, views=1, head_crops=None) == 0


FILLING = """
import sys
from pathlib import Path
import numpy as np
from frostline.features.store import Address, Store
shelf = Store(Path(sys.argv[1])).shelf(Address("prefix", "view", "torch", "fp32"))
for number in range(100_000):
    shelf.write([f"{number:032x}"], np.full((1, 50_000), number, np.float32))
"""


def test_killed_at_any_moment_its_rows_are_whole_or_absent(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", FILLING, str(tmp_path)]) as writer:
        while len(list(tmp_path.rglob("*.safetensors"))) < 5:
            assert writer.poll() is None
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
    shelf = Store(tmp_path).shelf(ADDRESS)
    names = [f"{number:032x}" for number in range(100_000)]
    absent = set(shelf.missing(names))
    there = [number for number, name in enumerate(names) if name not in absent]
    assert len(there) >= 5
    for number in there:
        assert (shelf.read([names[number]]) == number).all()
    assert not list(tmp_path.rglob("*.tmp"))
