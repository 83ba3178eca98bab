"""A picture that may have several labels is answered with all of them, or none, by whatever answers."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from frostline import ImageClassifier
from frostline.data.views import Preprocessing
from frostline.scale import Predict
from frostline.ship.export import export
from frostline.ship.model_info import ModelInfo
from frostline.ship.prediction_table import Columns
from frostline.ship.predictor import Prediction, best
from frostline.ship.serve.engines import Found
from frostline.ship.serve.schemas import answered
from tests.docs.pages import in_process
from tests.ship.conftest import CLASSES, saved

ABOUT = ModelInfo(name="net", classes=CLASSES, preprocessing=Preprocessing(), multilabel=True)


@pytest.mark.parametrize(
    ("shares", "label", "sure"), [((0.6, 0.1, 0.9), "ants|wasps", "0.600000"), ((0.2, 0.3, 0.1), "", "0.700000")]
)
def test_a_line_and_the_server_name_all_of_a_half_or_more(shares: tuple[float, ...], label: str, sure: str) -> None:
    p = np.array(shares, np.float32)
    answer = Prediction("a.jpg", p)
    assert sorted(name for name, _ in best(answer, ABOUT, 1)) == sorted(filter(None, label.split("|")))
    assert [name for name, _ in best(answer, ABOUT, 2)] == [CLASSES[n] for n in np.argsort(-p)[:2]]
    assert Columns(errors=False).line(answer, ABOUT) == ["a.jpg", label, sure, ""]
    assert Columns(top=2, errors=False).line(answer, ABOUT)[1] == CLASSES[int(p.argmax())]
    said = answered("a.jpg", Found(np.log(p / (1 - p))), ABOUT, top=1, coverages=())
    assert (said["label"], said["probability"]) == (label, pytest.approx(float(sure), abs=1e-5))


def test_every_way_to_ask_names_the_same_labels(tmp_path: Path, pictures: list[Path]) -> None:
    place, _ = saved(tmp_path / "model", multilabel=True, seed=1)
    rows = [str(picture) for picture in pictures]
    shares = ImageClassifier.load(place).predict_proba(rows)
    held = [[CLASSES[n] for n in np.argsort(-p) if p[n] >= 0.5] for p in shares]
    assert {0, 1, 2} <= {len(names) for names in held}

    def asked(*options: str) -> list[str]:
        code, out, err = in_process(["predict", str(place), *rows, *options])
        assert code == 0, err
        return out.splitlines()

    printed = [line.split("\t")[1:] for line in asked()]
    assert [[cell.rsplit(" ", 1)[0] for cell in cells if "%" in cell] for cells in printed] == held
    assert [cells == ["no label"] for cells in printed] == [not names for names in held]
    objects = [json.loads(line) for line in asked("--json")]
    assert [[one["label"] for one in each["classes"]] for each in objects] == held
    joined = ["|".join(name for name in CLASSES if name in names) for names in held]
    assert [line["label"] for line in csv.DictReader(asked("--csv"))] == joined
    assert list(Predict(place)({"path": rows})["label"]) == joined
    assert list(ImageClassifier.load(place).to_frame(rows)["label"]) == joined
    assert [len(line.split("\t")) for line in asked("--top", "2")] == [3] * len(rows)

    script = export(place, "openvino", out=tmp_path / "out").folder / "predict.py"
    done = subprocess.run([sys.executable, script, *rows], capture_output=True, text=True, check=True)
    told = [line.split("\t")[1:] for line in done.stdout.splitlines()]
    assert [[cell.rsplit(" ", 1)[0] for cell in cells] for cells in told] == held
