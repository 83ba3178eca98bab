"""`frostline store` knows all that is kept between runs, says how large it is, and removes it; nothing else."""

import numpy as np
import pytest

from frostline.errors import UnknownName
from frostline.features.kept import clear, kept
from frostline.features.store import Address, Store


def test_all_that_is_kept_is_listed_and_removed_and_what_is_in_use_stays(tmp_path):
    cache = tmp_path / "frostline"
    store = Store(cache / "store")
    used, unused = (store.shelf(Address(name, "view", "torch", "float32")) for name in ("used", "unused"))
    for shelf in (used, unused):
        shelf.write(["a", "b"], np.ones((2, 1000), np.float32))
    unused.close()
    for name in ("archives/abc/x.jpg", "archives/abc.json", "compiled/1.blob", "engines/2.json", "graphs/3.blob"):
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(bytes(500))
    (cache / "digests.sqlite").write_bytes(bytes(900))
    (cache / "models-1.0.31-0.29.1.json").write_bytes(bytes(30))
    (cache / "mine.txt").write_bytes(bytes(70))
    sizes = {kind.name: (kind.bytes, kind.files) for kind in kept(cache)}
    assert sizes["archives"] == (1000, 2)
    assert sizes["digests.sqlite"] == (900, 1)
    assert sizes["mine.txt"] == (70, 1)
    assert sizes["store"][0] > 16_000
    assert {kind.what for kind in kept(cache) if kind.name.startswith("models-")} == {"list of models"}
    assert clear(cache, only=["compiled"]) == {"compiled": 500}
    assert clear(cache, only=["models"]) == {"models-1.0.31-0.29.1.json": 30}
    (cache / "models-1.0.32-0.29.1.json").write_bytes(bytes(30))
    freed = clear(cache)
    assert set(freed) == {"store", "archives", "engines", "graphs", "digests.sqlite", "models-1.0.32-0.29.1.json"}
    assert 8_000 < freed["store"] < sizes["store"][0]
    assert used.read(["a"]).sum() == 1000
    assert {kind.name for kind in kept(cache)} == {"store", "mine.txt"}


@pytest.mark.parametrize(("name", "hint"), [("compile", "did you mean compiled?"), ("foo", "there are: store, arch")])
def test_a_kind_that_is_mistyped_is_refused_with_those_there_are(name, hint, tmp_path):
    (tmp_path / "compiled").mkdir()
    with pytest.raises(UnknownName, match="--only") as found:
        clear(tmp_path, only=["store", name])
    assert found.value.hint.startswith(hint)
    assert (tmp_path / "compiled").is_dir()


def test_no_cache_is_an_empty_one(tmp_path):
    assert kept(tmp_path / "none") == []
    assert clear(tmp_path / "none") == {}
