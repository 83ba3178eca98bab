"""Answers for batches are those of `frostline predict`, whichever engine calls; one broken row costs nobody else."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frostline.errors import DataError
from frostline.scale import Embed, Predict
from frostline.ship.open_predictor import open_predictor


def test_paths_bytes_and_images_are_answered_as_predict_does(model: Path, paths: list[str], wanted: np.ndarray) -> None:
    predict = Predict(model, coverage=0.9)
    for batch in (
        {"path": np.array(paths, dtype=object)},
        {"bytes": [Path(path).read_bytes() for path in paths]},
        {"image": [np.asarray(Image.open(path)) for path in paths]},
        {"image": [{"bytes": Path(path).read_bytes(), "path": None} for path in paths]},
    ):
        found = predict(batch)
        np.testing.assert_array_equal(found["probabilities"], wanted)
        assert list(found["label"]) == [predict.classes[n] for n in wanted.argmax(1)]
        assert list(found["error"]) == [None] * len(paths)
        assert all(label in held.split("|") for label, held in zip(found["label"], found["set"], strict=True))
        assert set(batch) <= set(found)


def test_a_broken_row_is_a_row_with_an_error(model: Path, paths: list[str], wanted: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    found = Predict(model)({"path": [paths[0], str(tmp_path / "broken.png"), None, paths[1]]})
    np.testing.assert_array_equal(found["probabilities"][[0, 3]], wanted[:2])
    assert found["error"][0] is None
    assert "no picture" in found["error"][2]
    assert found["error"][1]
    assert found["label"][1] is None
    assert np.isnan(found["probabilities"][1]).all()
    with pytest.raises(DataError, match="no column"):
        Predict(model)({"file": paths})


def test_it_pickles_small_and_loads_no_torch(model: Path, paths: list[str]) -> None:
    predict = Predict(model)
    predict({"path": paths[:1]})
    assert len(pickle.dumps(predict)) < 1000
    code = (
        "import pickle, sys\n"
        f"found = pickle.loads({pickle.dumps(predict)!r})({{'path': {paths[:2]!r}}})\n"
        "print(found['error'].tolist(), 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[None, None] False"


def test_features_of_a_model_folder_are_those_of_torch(model: Path, paths: list[str]) -> None:
    found = Embed(model)({"path": [*paths[:3], "/gone.png"]})
    exact = Embed(model, engine="torch")({"path": paths[:3]})["features"]
    np.testing.assert_allclose(found["features"][:3], exact, rtol=1e-3, atol=1e-4)
    assert np.isnan(found["features"][3]).all()
    assert found["error"][3]


def test_hugging_face_datasets_map(model: Path, paths: list[str], wanted: np.ndarray) -> None:
    from datasets import Dataset

    data = Dataset.from_dict({"path": paths}).map(Predict(model), batched=True, batch_size=10)
    np.testing.assert_array_equal(np.array(data["probabilities"], np.float32), wanted)
    assert data["label"][0] in ("green leaf", "red leaf")


@pytest.mark.parametrize("threads", [1, 2])
def test_workers_of_one_core_are_not_all_tied_to_the_first_one(
    model: Path, paths: list[str], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO pins threads by itself: two workers of a machine then halve one core, and the other one is idle."""
    monkeypatch.setattr("frostline.processors._limit", [])
    predict = Predict(model, engine="openvino", threads=threads)
    predict({"path": paths[:1]})
    assert predict._opened is not None
    assert predict._opened.engine._compiled.get_property("ENABLE_CPU_PINNING") is False  # type: ignore[attr-defined]


@pytest.mark.parametrize("streams", [1, 2])
def test_a_row_is_the_same_bits_in_any_company(model: Path, streams: int) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (7, 64, 64, 3), np.uint8)
    run = open_predictor(model, engine="openvino", streams=streams).logits
    together, alone = run(pictures), np.concatenate([run(pictures[n : n + 1]) for n in range(len(pictures))])
    np.testing.assert_array_equal(together, alone)
