"""Pictures to click on: held out, of every class in turn, and nothing but pictures."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from frostline.data.pictures.picture import content_digest
from frostline.data.views import Preprocessing
from frostline.judge.predictions import PICTURES, Outcome, to_csv
from frostline.ship.model_info import ModelInfo
from frostline.ship.serve.samples import MOST, samples
from tests.data.pictures import encoded, scene

ABOUT = ModelInfo(name="resnet18", classes=("ants", "bees"), preprocessing=Preprocessing(size=(64, 64)))


def test_samples_are_of_the_test_split_and_of_every_class_and_never_another_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("not for anybody")
    private = tmp_path / "private.png"  # that a run of somebody else's names
    private.write_bytes(encoded(scene(90, 70, 77)))
    rows = [
        Outcome(f"test/{place.name}", str(place), "0" * 32, "test", "ants", "ants", 0.9, True)
        for place in (secret, private)
    ]
    for number in range(12):
        place = tmp_path / f"{number}.png"
        place.write_bytes(encoded(scene(900, 700, number)))
        split = "test" if number < 8 else "val"
        label = "ants" if number % 4 else "bees"
        rows.append(Outcome(f"{split}/{place.name}", str(place), content_digest(place), split, label, label, 0.9, True))
    (tmp_path / PICTURES).write_text(to_csv(rows), encoding="utf-8")
    found = samples(tmp_path / "model", ABOUT)
    assert len(found) == MOST
    assert [sample.name for sample in found] == ["0.png", "4.png", "1.png", "2.png", "3.png", "5.png"]
    for sample in found:
        with Image.open(io.BytesIO(sample.jpeg)) as picture:
            assert picture.format == "JPEG"
            assert max(picture.size) == 640
    assert all(sample.unseen for sample in found)
    assert samples(tmp_path / "nothing" / "model", ABOUT) == ()
    (tmp_path / PICTURES).write_text("another table\n1\n", encoding="utf-8")
    assert samples(tmp_path / "model", ABOUT) == ()


@pytest.mark.parametrize(
    ("split", "facts", "unseen"),
    [("val", {}, True), ("val", {"refit": 48}, False), ("cross-validation", {}, False), ("test", {"refit": 48}, True)],
)
def test_what_the_model_has_learned_from_by_now_is_not_called_unseen(
    split: str, facts: dict[str, int], unseen: bool, tmp_path: Path
) -> None:
    place = tmp_path / "a.png"
    place.write_bytes(encoded(scene(90, 70, 0)))
    row = Outcome("a.png", str(place), content_digest(place), split, "ants", "ants", 0.9, True)
    (tmp_path / PICTURES).write_text(to_csv([row]), encoding="utf-8")
    (found,) = samples(tmp_path / "model", replace(ABOUT, facts=facts))
    assert found.unseen is unseen
