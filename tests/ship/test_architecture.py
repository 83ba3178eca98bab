"""Opening a model folder runs, fetches and reads nothing that the folder names, and allocates nothing on its word."""

import json
import shutil
import struct
import sys
import tracemalloc
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import timm
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frostline import ImageClassifier
from frostline.errors import CheckpointError, FrostlineError
from frostline.net import layout, zoo
from frostline.registry import whence
from frostline.ship import hub
from frostline.ship.folder import save
from frostline.ship.model_info import digest, read
from frostline.ship.open_folder import open_folder
from frostline.ship.open_predictor import open_predictor
from tests.ship.conftest import CLASSES, about, saved

HOSTILE = (
    "hostile_module:factory",
    "hostile_module",
    "os:abort",
    "hf-hub:somebody/model",
    "hf_hub:somebody/model",
    "local-dir:{outside}",
    "LOCAL-DIR:{outside}",
    "torchvision/../{outside}",
    "torchvision/hostile_module:factory",
    "timm/hostile_module:factory",
    "../{outside}/model.safetensors",
    "{outside}/secret.txt",
    "file://{outside}/secret.txt",
    "http://127.0.0.1:9/weights.pth",
    "somebody/model",
    "resnet18.hostile_module",
)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """(model folder without a graph, a folder beside it that nothing may read, with a module that notes its import)."""
    root = tmp_path_factory.mktemp("boundary")
    place, _ = saved(root / "good", graph=False)
    outside = root / "outside"
    saved(outside, graph=False)
    (outside / "secret.txt").write_text("secret")
    (outside / "hostile_module.py").write_text("def factory(num_classes=3): raise SystemExit('it ran')\n")
    return place, outside


_watch = {"on": False, "seen": [], "outside": ""}


def _audit(event: str, arguments: tuple) -> None:
    if not _watch["on"]:
        return
    words = " ".join(str(argument) for argument in arguments[:2])
    network = event.startswith(("socket.connect", "socket.getaddrinfo", "urllib.Request", "subprocess", "os.system"))
    if network or (event == "open" and _watch["outside"] in words):
        _watch["seen"].append(f"{event}: {words}")


sys.addaudithook(_audit)


@contextmanager
def watched(outside: Path):
    """Any connection or process, and any file of `outside` that is opened meanwhile: its module too, to be imported."""
    _watch.update(on=True, outside=str(outside))
    _watch["seen"].clear()
    sys.path.insert(0, str(outside))
    try:
        yield _watch["seen"]
    finally:
        _watch["on"] = False
        sys.path.remove(str(outside))


def rewritten(place: Path, file: str, change) -> None:
    """A file of JSON changed, and all stated digests made right again, as who made the folder would."""
    values = json.loads((place / file).read_bytes())
    change(values)
    (place / file).write_text(json.dumps(values))
    restated(place)


def restated(place: Path) -> None:
    values = json.loads((place / "frostline.json").read_bytes())
    for name in values["files"] if isinstance(values.get("files"), dict) else ():
        with suppress(FrostlineError, TypeError):
            values["files"][name] = {"sha256": digest(place / name), "bytes": (place / name).stat().st_size}
    (place / "frostline.json").write_text(json.dumps(values))


def test_the_watch_sees_what_it_should(good):
    with watched(good[1]) as seen:
        (good[1] / "secret.txt").read_text()
        with pytest.raises(SystemExit):
            zoo.build("hostile_module:factory", classes=3, weights=None)
    assert [line for line in seen if "secret" in line]
    assert [line for line in seen if "hostile_module.py" in line]
    sys.modules.pop("hostile_module")


def _fields(values, path=()):
    """Every place in a JSON value that a string may stand at."""
    yield path
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in items:
        yield from _fields(value, (*path, key))


def _put(values, path, new) -> None:
    for key in path[:-1]:
        values = values[key]
    values[path[-1]] = new


EXTRA = (
    *(("config.json", ("model_args", name)) for name in ("checkpoint_path", "pretrained", "pretrained_cfg_overlay")),
    *(("config.json", ("model_args", name)) for name in ("cache_dir", "norm_layer", "global_pool", "pruned", "cfg")),
    *(("config.json", ("pretrained_cfg", name)) for name in ("url", "file", "hf_hub_id", "state_dict", "source")),
    *(("config.json", (name,)) for name in ("hf_hub_id", "base_model", "auto_map", "_name_or_path")),
    *(("frostline.json", ("files", name)) for name in ("../secret.txt", "{outside}/secret.txt", "notes.txt")),
    *(("frostline.json", ("arguments", name)) for name in ("img_size", "checkpoint_path")),
)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_string_of_a_folder_leads_out_of_it(good, tmp_path_factory, data):
    place, outside = good
    copy = tmp_path_factory.getbasetemp() / "mutant"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(place, copy)
    known = [
        (file, path)
        for file in ("frostline.json", "config.json")
        for path in _fields(json.loads((copy / file).read_bytes()))
    ]
    word = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20))
    for file, path in data.draw(st.lists(st.sampled_from([*known[1:], *EXTRA]), min_size=1, max_size=3)):
        new = data.draw(word).replace("{outside}", str(outside))
        if not path:
            continue
        with suppress(KeyError, TypeError, IndexError):
            values = json.loads((copy / file).read_bytes())
            if path[0] == "model_args":
                values.setdefault("model_args", {})
            _put(
                values,
                [str(part).replace("{outside}", str(outside)) if isinstance(part, str) else part for part in path],
                new,
            )
            (copy / file).write_text(json.dumps(values))
    kind = data.draw(st.sampled_from(("as it is", "timm", "torchvision", "factory", "head2toe")))
    if kind != "as it is":
        values = json.loads((copy / "frostline.json").read_bytes())
        values |= {"kind": kind, "name": data.draw(word).replace("{outside}", str(outside))}
        (copy / "frostline.json").write_text(json.dumps(values))
    restated(copy)
    with watched(outside) as seen:
        for way in (
            lambda: open_predictor(copy, engine="torch"),
            lambda: ImageClassifier.load(copy),
            lambda: open_predictor(copy),
            lambda: hub.parcel(copy, "somebody/model"),
        ):
            with suppress(FrostlineError):
                way()
    assert not seen
    assert "hostile_module" not in sys.modules


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["timm", "torchvision", "factory", "head2toe"])
def test_every_kind_refuses_a_name_that_is_not_listed(good, tmp_path, kind, name):
    copy = tmp_path / "copy"
    shutil.copytree(good[0], copy)
    name = name.replace("{outside}", str(good[1]))
    rewritten(copy, "frostline.json", lambda values: values.update(kind=kind, name=name))
    rewritten(copy, "config.json", lambda values: values.update(architecture=name))
    with watched(good[1]) as seen, pytest.raises(CheckpointError):
        open_folder(copy)
    assert not seen


def test_what_is_loaded_is_not_fitted_again_from_where_the_folder_says(good, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(good[0], copy)
    for name in ("hf-hub:somebody/model", "hostile_module:factory", "local-dir:/etc"):
        rewritten(copy, "frostline.json", lambda values, name=name: values.update(name=name))
        assert ImageClassifier.load(copy).model == "test_efficientnet"
    assert ImageClassifier.load(good[0]).model == "test_efficientnet"


def test_a_factory_runs_for_who_names_it_and_only_then(tmp_path, good):
    place = tmp_path / "own"
    made = zoo.build("tests.ship.test_folder:own_net", classes=3, weights=None, image_size=64)
    save(place, made.net, about(made, arguments={"img_size": 64}), graph=False)
    with pytest.raises(CheckpointError, match=r"would be imported and run: tests is .*tests") as caught:
        open_predictor(place)
    assert "--trust tests.ship.test_folder:own_net" in str(caught.value)
    with pytest.raises(CheckpointError):
        open_predictor(place, trust="tests.ship.test_folder:about")
    assert open_predictor(place, trust="tests.ship.test_folder:own_net").about.classes == CLASSES


def test_where_code_lies_is_told_without_importing_it(good):
    with watched(good[1]) as seen:
        assert whence("hostile_module.inner:factory") == f"hostile_module is {good[1] / 'hostile_module.py'}"
    assert not seen
    assert whence("os:abort") == "os is of Python's own library"
    assert whence("no_such_package_here:f") == "there is no no_such_package_here here"


HUGE = {
    "deep": ("vit_tiny_patch16_224", {"depth": 200_000}),
    "deep within bounds": ("vit_tiny_patch16_224", {"depth": 16_000}),
    "wide": ("vit_tiny_patch16_224", {"embed_dim": 49_152, "num_heads": 8}),
    "wide within bounds": ("vit_tiny_patch16_224", {"embed_dim": 16_384}),
    "large pictures": ("vit_tiny_patch16_224", {"img_size": 400_000}),
    "large pictures within bounds": ("levit_128s", {"img_size": 4_096}),
    "large windows": ("tiny_vit_5m_224", {"window_sizes": [4_096] * 4}),
    "of itself": ("swin_tiny_patch4_window7_224", {"img_size": 16_384}),
    "a list": ("efficientformerv2_s0", {"depths": [3] * 100_000}),
    "a weights file": ("resnet18", {"checkpoint_path": "/etc/passwd"}),
    "from the hub": ("resnet18", {"pretrained": True}),
    "a dictionary": ("resnet18", {"block_args": {"x": 1}}),
}


@pytest.mark.parametrize(("name", "arguments"), HUGE.values(), ids=HUGE)
def test_a_network_larger_than_its_weights_costs_nothing(good, tmp_path, name, arguments):
    copy = tmp_path / "copy"
    shutil.copytree(good[0], copy)
    rewritten(copy, "config.json", lambda values: values.update(architecture=name, model_args=arguments))
    allocated = []
    tracemalloc.start()
    try:
        with pytest.raises(FrostlineError) as caught:
            open_folder(copy)
        allocated.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert caught.value.hint
    assert allocated[0] < 200 << 20


def test_a_header_that_states_more_than_the_file_holds_is_refused(good, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(good[0], copy)
    headers = (
        {"x": {"dtype": "F32", "shape": [1 << 20, 1 << 20], "data_offsets": [0, 1 << 42]}},
        {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(20_001)},
    )
    for header in headers:
        said = json.dumps(header).encode()
        (copy / "model.safetensors").write_bytes(struct.pack("<Q", len(said)) + said)
        restated(copy)
        with pytest.raises(FrostlineError, match=r"weights|tensors"):
            open_folder(copy)


@pytest.mark.parametrize(
    "name", ["torchvision/regnet_x_400mf", "torchvision/googlenet", "vit_tiny_patch16_224", "levit_128s"]
)
def test_what_is_listed_still_opens_bit_for_bit(tmp_path, name):
    made = zoo.build(name, classes=3, weights=None)
    save(tmp_path / "model", made.net, about(made), graph=False)
    opened = open_folder(tmp_path / "model").net.state_dict()
    assert all(torch.equal(opened[key], tensor) for key, tensor in made.net.state_dict().items())
    assert not any(tensor.is_meta for tensor in opened.values())


def test_laying_out_counts_its_own_thread_only_and_ends(good):
    with layout.parameters_without_bytes(1):
        pass
    torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(50)))
    assert read(good[0]).kind == "timm"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("test_efficientnet", {"bn_eps": 1e-2, "act_layer": "relu"}),
        ("resnet10t", {"block_args": {"attn_layer": "se"}}),
        ("test_vit", {"depth": 2, "class_token": False, "global_pool": "avg"}),
    ],
)
def test_what_was_built_by_a_folder_s_arguments_is_opened_again_by_them(tmp_path, name, arguments):
    timm.models.save_for_hf(timm.create_model(name, num_classes=3, **arguments), tmp_path / "theirs")
    made = zoo.build(f"local-dir:{tmp_path / 'theirs'}", classes=3)
    save(tmp_path / "model", made.net, about(made), graph=False)
    opened = open_folder(tmp_path / "model").net
    x = torch.rand(2, 3, *made.preprocessing.size)
    with torch.inference_mode():
        assert torch.equal(opened(x), made.net(x))
