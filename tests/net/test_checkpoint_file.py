"""Every form in which people keep checkpoints, and every file that only looks like one."""

import argparse
import collections
import datetime
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from frostline.errors import WeightsError
from frostline.net.checkpoint_file import open_checkpoint, read_checkpoint
from frostline.net.checkpoint_folder import open_weights
from frostline.net.weight_files import digest_of


def tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "conv.weight": torch.randn(4, 3, 3, 3, generator=generator),
        "bn.num_batches_tracked": torch.tensor(7),
        "fc.bias": torch.randn(5, generator=generator).half(),
    }


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert set(found) == set(wanted)
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_torch_forms(tmp_path: Path, zipped: bool) -> None:
    torch.save(tensors(), tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(tmp_path / "a.pth")
    assert_same(found, tensors())
    assert list(found) == list(tensors())


def test_safetensors_is_known_by_content_not_by_name(tmp_path: Path) -> None:
    save_file(tensors(), tmp_path / "model.bin")
    assert_same(read_checkpoint(tmp_path / "model.bin"), tensors())


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "model_ema", "net"])
def test_nested_under_each_key(tmp_path: Path, key: str, zipped: bool) -> None:
    saved = {"epoch": 3, key: tensors(), "optimizer": {"state": {0: {"exp_avg": torch.ones(9)}}, "param_groups": []}}
    torch.save(saved, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    assert_same(read_checkpoint(tmp_path / "a.pt"), tensors())


@pytest.mark.parametrize("key", ["ema_state", "model_ema_state_dict", "EMA", "swa_model", "averaged_model", "teacher"])
def test_averaged_weights_are_known_by_any_name_that_says_so(tmp_path: Path, key: str) -> None:
    plain = {name: torch.zeros_like(tensor) for name, tensor in tensors().items()}
    torch.save({"model_state": plain, key: tensors(), "state_dict": plain}, tmp_path / "a.pt")
    assert_same(read_checkpoint(tmp_path / "a.pt"), tensors())


@pytest.mark.parametrize(
    ("kept", "averaged"),
    [
        ({"EMACallback": {"ema_state_dict": {f"module.{name}": t for name, t in tensors().items()}}}, True),
        ({"EMA": {"state_dict": tensors(), "updates": torch.ones(())}}, True),
        ({"EMA": {"updates": torch.ones(())}}, False),
        ({"EMA": {"weights": dict(list(tensors().items())[:2])}}, False),
        ({"ModelCheckpoint": {"best_model_score": torch.ones(()), "state": tensors()}}, False),
    ],
)
def test_averaged_weights_in_a_callback_of_lightning_are_taken_if_they_are_whole(
    tmp_path: Path, kept: dict[str, Any], averaged: bool
) -> None:
    plain = {name: torch.zeros_like(tensor) for name, tensor in tensors().items()}
    torch.save({"callbacks": kept, "state_dict": plain}, tmp_path / "a.ckpt")
    found = read_checkpoint(tmp_path / "a.ckpt")
    assert_same({name.removeprefix("module."): t for name, t in found.items()}, tensors() if averaged else plain)


def test_nested_twice_and_averaged_weights_first(tmp_path: Path) -> None:
    plain = {name: torch.zeros_like(tensor) for name, tensor in tensors().items()}
    torch.save({"model": {"state_dict": plain}, "model_ema": {"state_dict": tensors()}}, tmp_path / "a.pt")
    assert_same(read_checkpoint(tmp_path / "a.pt"), tensors())


def test_a_trainer_s_options_beside_the_weights_do_no_harm(tmp_path: Path) -> None:
    torch.save({"state_dict": tensors(), "args": argparse.Namespace(lr=0.1)}, tmp_path / "a.pth.tar")
    assert_same(read_checkpoint(tmp_path / "a.pth.tar"), tensors())


def test_what_trainers_keep_beside_the_weights_is_passed_over(tmp_path: Path) -> None:
    """Figures of NumPy, paths, dates, defaultdicts: none of it is a weight, none of it is built."""
    log = collections.defaultdict(list, {"loss": [0.5, 0.25]})
    beside = {
        "best": np.float64(0.9),
        "array": np.arange(3.0),
        "out": tmp_path,
        "log": log,
        "last": collections.deque([1.0, 2.0]),
    }
    torch.save({"state_dict": tensors(), "when": datetime.datetime.now(), **beside}, tmp_path / "a.ckpt")
    assert_same(read_checkpoint(tmp_path / "a.ckpt"), tensors())


def test_every_state_dict_of_a_file_and_its_classes(tmp_path: Path) -> None:
    half = {name: t / 2 for name, t in tensors().items()}
    saved = {"generator": tensors(), "student": half, "teacher": tensors(), "optimizer": {"moment": torch.ones(2)}}
    torch.save({**saved, "class_to_idx": {"bee": 1, "ant": 0}}, tmp_path / "a.pt")
    found = open_checkpoint(tmp_path / "a.pt")
    assert list(found.states) == ["teacher", "student", "generator"]
    assert found.classes == ("ant", "bee")
    save_file(tensors(), tmp_path / "b.safetensors", metadata={"classes": '["ant", "bee"]'})
    assert open_checkpoint(tmp_path / "b.safetensors").classes == ("ant", "bee")
    assert not open_checkpoint(tmp_path / "b.safetensors").ordered


def test_an_npz_of_a_state_dict(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{name: t.numpy() for name, t in tensors().items()})
    assert_same(read_checkpoint(tmp_path / "a.npz"), tensors())
    np.savez(tmp_path / "b.npz", a=np.array([{"code": 1}], object))
    with pytest.raises(WeightsError, match="allow_pickle"):
        read_checkpoint(tmp_path / "b.npz")


def shard(folder: Path) -> None:
    parts = list(tensors().items())
    names = {}
    for number, (name, tensor) in enumerate(parts, start=1):
        file = f"model-{number:05}-of-{len(parts):05}.safetensors"
        save_file({name: tensor}, folder / file)
        names[name] = file
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    (folder / "config.json").write_text(json.dumps({"id2label": {"0": "ant", "1": "bee"}}))


def test_a_folder_of_shards(tmp_path: Path) -> None:
    shard(tmp_path)
    found = open_weights(tmp_path)
    assert_same(dict(found.states[""]), tensors())
    assert found.classes == ("ant", "bee")
    before = digest_of(tmp_path)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(WeightsError, match="1 of 3 shards are missing, first: model-00002-of-00003"):
        open_weights(tmp_path)
    save_file({"other": torch.zeros(1)}, tmp_path / "model-00002-of-00003.safetensors")
    assert digest_of(tmp_path) != before
    with pytest.raises(WeightsError, match=r"1 of 3 tensors of the index are in no shard, first: bn\.num"):
        open_weights(tmp_path)


@pytest.mark.parametrize("name", ["../a.safetensors", "/etc/passwd", "sub/a.safetensors", "a\\b.safetensors"])
def test_an_index_that_names_files_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(WeightsError, match="not beside it"):
        open_weights(tmp_path)


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_a_hostile_pickle_is_refused_by_name_and_not_executed(tmp_path: Path, form: str) -> None:
    marker, path = tmp_path / "executed", tmp_path / "hostile.pth"
    saved = {"state_dict": tensors(), "extra": Hostile(marker)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(Hostile(marker), protocol=2))
    else:
        torch.save(saved, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(WeightsError, match=r"posix\.system|nt\.system") as caught:
        read_checkpoint(path)
    assert not marker.exists()
    assert "refused" in caught.value.what
    assert "\n" not in caught.value.what
    assert len(caught.value.what) < 200
    assert caught.value.where == str(path)


def test_the_same_pickle_would_have_run(tmp_path: Path) -> None:
    """Or the test above shows nothing."""
    marker = tmp_path / "executed"
    pickle.loads(pickle.dumps(Hostile(marker)))
    assert marker.exists()


def test_a_pickled_network_is_refused_with_the_way_out(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "net.pt")
    with pytest.raises(WeightsError, match=r"whole pickled network \(torch.nn.modules.linear.Linear\)") as caught:
        read_checkpoint(tmp_path / "net.pt")
    assert "state_dict()" in str(caught.value.hint)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "program.pt")
    with pytest.raises(WeightsError, match="TorchScript"):
        read_checkpoint(tmp_path / "program.pt")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_truncated(tmp_path: Path, form: str, share: float) -> None:
    path = tmp_path / "a.pth"
    large = {"weight": torch.zeros(20000)}
    if form == "safetensors":
        save_file(large, path)
    else:
        torch.save(large, path, _use_new_zipfile_serialization=form == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(WeightsError, match="damaged or truncated") as caught:
        read_checkpoint(path)
    assert "\n" not in caught.value.what


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"\n  <html>quota exceeded</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS pointer"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"hello, I am a text\n" * 20, "no checkpoint"),
        (b"PK\x03\x04" + bytes(200), "damaged"),
        (b"\x80\x02" + bytes(200), "refused|damaged"),
    ],
)
def test_files_that_are_no_checkpoint(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=told) as caught:
        read_checkpoint(tmp_path / "a.pth")
    assert caught.value.hint


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such weights file"):
        read_checkpoint(tmp_path / "nowhere.pth")
    with pytest.raises(WeightsError, match="folder"):
        read_checkpoint(tmp_path)
    save_file(tensors(), tmp_path / "model.safetensors")
    with pytest.raises(WeightsError) as caught:
        read_checkpoint(tmp_path)
    assert "model.safetensors" in str(caught.value.hint)


def test_a_file_without_tensors_tells_its_keys(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "history": [1.0]}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="epoch, history"):
        read_checkpoint(tmp_path / "a.pt")
    torch.save([1, 2], tmp_path / "b.pt")
    with pytest.raises(WeightsError, match="list"):
        read_checkpoint(tmp_path / "b.pt")


def test_a_zip_of_other_things_is_named_as_such(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(name, "{}")
    with pytest.raises(WeightsError, match=r"a zip archive of other things: metadata\.json, config\.json") as caught:
        read_checkpoint(tmp_path / "model.keras")
    assert "safetensors" in str(caught.value.hint)


def test_a_zip_that_unpacks_to_far_more_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(30_000_000))
    with pytest.raises(WeightsError, match="unpacks to 30,000,000 bytes"):
        read_checkpoint(tmp_path / "bomb.pth")


def test_a_mapping_that_stands_at_a_million_places_is_walked_once(tmp_path: Path) -> None:
    """20 kB of references that would be minutes of walking."""
    inner: dict[str, object] = {"w": torch.zeros(1)}
    for _ in range(4):
        inner = {f"k{number}": inner for number in range(300)}
    torch.save(inner, tmp_path / "a.pt")
    assert_same(read_checkpoint(tmp_path / "a.pt"), {"w": torch.zeros(1)})


@pytest.mark.parametrize(
    "made",
    [
        {"a." * 50_000 + "weight": torch.zeros(1)},
        {"w" * 501: torch.zeros(1)},
        {f"w{number}": torch.zeros(1) for number in range(20_001)},
    ],
    ids=["deep", "long", "many"],
)
def test_names_that_no_network_has_are_refused(tmp_path: Path, made: dict[str, Tensor]) -> None:
    save_file(made, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="no network's") as caught:
        read_checkpoint(tmp_path / "a.safetensors")
    assert caught.value.hint


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1, 1).expand(1 << 40, 512),
        torch.empty(1 << 30, 512, device="meta"),
        torch.sparse_coo_tensor(
            torch.zeros(2, 1, dtype=torch.int64), torch.ones(1), (1 << 30, 512), check_invariants=False
        ),
    ],
    ids=["expanded", "meta", "sparse"],
)
def test_a_shape_of_more_bytes_than_the_file_is_refused(tmp_path: Path, tensor: Tensor) -> None:
    torch.save({**tensors(), "fc.weight": tensor}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"its shapes are of [\d,]+ bytes, and the file has") as caught:
        read_checkpoint(tmp_path / "a.pt")
    assert caught.value.hint


def test_a_small_tensor_that_repeats_one_number_is_read(tmp_path: Path) -> None:
    saved = {**tensors(), "mask": torch.ones(1).expand(20, 20), "twice": tensors()["conv.weight"]}
    torch.save(saved, tmp_path / "a.pt")
    assert_same(read_checkpoint(tmp_path / "a.pt"), saved)


@pytest.mark.parametrize(
    ("said", "names"),
    [
        # folders called by number: torchvision sorts them as texts
        ({"class_to_idx": {"0": 0, "1": 1, "10": 2, "2": 3}}, ("0", "1", "10", "2")),
        ({"class_to_idx": {"a": 1, "b": 0}}, ("b", "a")),
        ({"label2id": {"a": "1", "b": "0"}}, ("b", "a")),
        ({"id2label": {"0": "7", "1": "0"}}, ("7", "0")),
        ({"idx_to_class": {1: "0", 0: "1"}}, ("1", "0")),
        ({"names": {0: "ant", 1: "bee"}}, ("ant", "bee")),
        ({"classes": {"3": 0, "0": 1}}, ("3", "0")),
        # weights of classes, and whatever a hostile file says
        ({"classes": {"ant": 0.3, "bee": 1.7}}, None),
        ({"class_to_idx": {"ant": float("inf"), "bee": float("nan")}}, None),
        ({"class_to_idx": {"ant": 0, "bee": 2}}, None),
        ({"class_to_idx": {"ant": torch.zeros(2)}}, None),
        ({"id2label": {"9" * 5000: "ant"}}, None),
    ],
)
def test_what_a_file_says_of_its_classes(tmp_path: Path, said: dict[str, object], names: tuple[str, ...]) -> None:
    torch.save({"state_dict": tensors(), **said}, tmp_path / "a.pt")
    assert open_checkpoint(tmp_path / "a.pt").classes == names


def test_metadata_nested_too_deeply_are_passed_over(tmp_path: Path) -> None:
    save_file(tensors(), tmp_path / "a.safetensors", metadata={"classes": "[" * 200_000})
    assert open_checkpoint(tmp_path / "a.safetensors").classes is None
