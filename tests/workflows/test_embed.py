"""Features as a table are what timm gives of the same pictures."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import timm
import torch
from PIL import Image
from typer.testing import CliRunner

from frostline.cli import app
from frostline.data.cache_folder import default_cache
from frostline.data.sources import read, unlabelled
from frostline.errors import FrostlineError, MissingExtra, PlanError
from frostline.features.store import Store
from frostline.net import zoo
from frostline.workflows.embed import Embedded, check_place, embed, write
from tests.docs.pages import in_process


@pytest.fixture(scope="module")
def found(leaves: Path) -> Embedded:
    cache = default_cache()
    return embed(read(leaves), store=Store(cache / "store"), cache=cache, model="test_resnet", weights="none")


def test_they_are_timms(found: Embedded) -> None:
    net = zoo.build("test_resnet", classes=2, weights="none").net.eval()
    wants = timm.data.create_transform(**timm.data.resolve_data_config({}, model=net))
    some = [0, 30, 95]
    with torch.no_grad():
        pictures = torch.stack([wants(Image.open(found.rows[n].picture)) for n in some])
        expected = net.forward_head(net.forward_features(pictures), pre_logits=True).numpy()
    assert np.corrcoef(found.features[some].ravel(), expected.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("name", ["features.npz", "features.parquet"])
def test_both_files_hold_path_label_split_and_features(found: Embedded, tmp_path: Path, name: str) -> None:
    write(found, tmp_path / name)
    if name.endswith("npz"):
        with np.load(tmp_path / name, allow_pickle=False) as file:
            held = {key: list(file[key]) for key in file.files}
    else:
        held = pyarrow.parquet.read_table(tmp_path / name).to_pydict()
    np.testing.assert_array_equal(np.array(held["features"], np.float32), found.features)
    assert held["label"] == [Path(path).parent.name for path in held["path"]]
    assert held["split"] == [Path(path).parents[1].name for path in held["path"]]


def test_pictures_without_labels_have_the_features_that_they_have_with_them(
    found: Embedded, leaves: Path, tmp_path: Path
) -> None:
    cache = default_cache()
    for number, row in enumerate(found.rows[:4]):
        shutil.copy(str(row.picture), tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"")
    loose = unlabelled(tmp_path)
    alone = embed(loose, store=Store(cache / "store"), cache=cache, model="test_resnet", weights="none")
    np.testing.assert_array_equal(alone.features, found.features[:4])
    assert [row.labels for row in alone.rows] == [()] * 4
    assert [item.name for item in alone.skipped] == [str(tmp_path / "broken.png")]


def test_labels_are_missed_with_the_option_that_does_without_and_not_spoken_of_beside_it(
    leaves: Path, tmp_path: Path
) -> None:
    shutil.copy(next(leaves.rglob("*.png")), tmp_path / "a.png")
    for more, said in (([], "--unlabelled"), (["--unlabelled", "--label-column", "kind"], "--label-column")):
        refused = CliRunner().invoke(app, ["embed", str(tmp_path), "--out", str(tmp_path / "x.npz"), *more])
        assert isinstance(refused.exception, FrostlineError)
        assert said in f"{refused.exception.where} {refused.exception.hint}"


@pytest.mark.parametrize(("out", "said"), [("x.csv", "not written as '.csv'"), ("s3://b/x.npz", "one process writes")])
def test_a_wrong_file_is_refused_before_anything_is_read(leaves: Path, out: str, said: str) -> None:
    code, _, err = in_process(["embed", str(leaves / "nothing there"), "--out", out])
    assert code == 2
    assert said in err


def test_parquet_without_its_library_is_refused_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match="Parquet needs pyarrow"):
        check_place(Path("x.parquet"))


def test_another_ending_is_refused(found: Embedded, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"'\.txt'"):
        write(found, tmp_path / "features.txt")
