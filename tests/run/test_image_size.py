"""``--image-size auto``: features whose truth is known stand in for a network's at either size."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_model
from torch import nn

from frostline import ImageClassifier
from frostline.data.manifest import Manifest, Row
from frostline.data.views import Preprocessing
from frostline.errors import PlanError
from frostline.events import Note
from frostline.net import zoo
from frostline.net.trace import operations
from frostline.options import FitOptions
from frostline.quantities import side
from frostline.run.image_size import allowed_work, chosen_side, larger
from frostline.train.defaults import default


def pictures(splits: tuple[str | None, ...] = (None,)) -> Manifest:
    rows = [
        Row(Path(f"{n}.png"), (("ant", "bee")[n % 2],), split=splits[n % len(splits)], name=f"{n}.png", digest=f"{n}")
        for n in range(60)
    ]
    return Manifest(tuple(rows), ("ant", "bee"))


def chosen(
    signal: dict[int, float], manifest: Manifest, *, refuses: bool = False, most: float | None = None
) -> tuple[int | None, str, set[str]]:
    """What is chosen where classes are so far apart at each side, what is said, and the pictures that were read."""
    read: set[str] = set()
    said: list[str] = []

    def build(pixels: int | None) -> Any:
        if refuses and pixels:
            raise PlanError("it takes one size")
        size = pixels or 224
        head = SimpleNamespace(others=(), features=20)
        return SimpleNamespace(preprocessing=Preprocessing(size=(size, size)), head=head, net=nn.Conv2d(3, 1, 1))

    def features(backbone: Any) -> Any:
        size = backbone.preprocessing.size[0]

        def at(line: str, rows: tuple[Row, ...], view: object, *, what: str) -> Any:
            read.update(row.name for row in rows)
            y = np.array([row.labels[0] == "bee" for row in rows])
            x = np.random.default_rng(0).normal(size=(len(rows), 20)).astype(np.float32)
            x[:, 0] += signal[size] * y
            return (lambda indices: x[indices]), []

        return SimpleNamespace(at=at)

    found, by_pictures = chosen_side(
        build, features, manifest, FitOptions(), lambda event: said.append(event.text), most=most
    )
    assert by_pictures == bool(read)
    return found, said[-1], read


def test_the_larger_size_is_taken_where_the_classes_are_further_apart_there() -> None:
    found, said, _ = chosen({224: 0.5, 288: 4.0}, pictures())
    assert found == 288
    assert said.startswith("pictures are seen at 288 x 288: log loss out of fold 0.")
    assert said.endswith("; an answer takes 1.7 times as long")


@pytest.mark.parametrize("signal", [{224: 4.0, 288: 0.5}, {224: 2.0, 288: 2.0}])
def test_else_it_is_the_networks_own(signal: dict[int, float]) -> None:
    found, said, _ = chosen(signal, pictures())
    assert found is None
    assert said.startswith("pictures are seen at 224 x 224: ")


def test_pictures_that_judge_do_not_choose() -> None:
    _, _, read = chosen({224: 1.0, 288: 2.0}, pictures(("train", "train", "val", "test")))
    assert read == {f"{n}.png" for n in range(60) if n % 4 < 2}


def test_a_network_of_one_size_stays_as_it_is() -> None:
    found, said, _ = chosen({224: 1.0}, pictures(), refuses=True)
    assert found is None
    assert said == "pictures are seen at 224 x 224, for 288 x 288 cannot be tried: it takes one size"


def test_the_larger_size_is_not_tried_where_that_would_be_more_work_than_allowed() -> None:
    one = 2 * 3 * 288 * 288  # a convolution of 1 x 1 from three channels to one
    assert chosen({224: 0.5, 288: 4.0}, pictures(), most=60 * one + 1)[0] == 288
    found, said, read = chosen({224: 0.5, 288: 4.0}, pictures(), most=60 * one - 1, refuses=True)
    assert found is None
    assert not read
    assert said == "pictures are seen at 224 x 224; --image-size auto tries 288 x 288 too"


@pytest.mark.parametrize(
    ("name", "billions"), [("resnet50", 4.09), ("resnet18", 1.81), ("vit_base_patch16_224", 16.87)]
)
def test_work_is_counted_as_papers_count_it(name: str, billions: float) -> None:
    """torchvision and timm publish multiply-adds, each two operations."""
    backbone = zoo.build(name, classes=1000, weights="none")
    assert operations(backbone.net, backbone.preprocessing) / 2e9 == pytest.approx(billions, rel=0.01)


def test_a_shorter_time_limit_allows_less_of_it() -> None:
    assert allowed_work(None) == allowed_work("5m") == allowed_work("1h")
    assert allowed_work("30s") == allowed_work(None) / 10


def test_auto_tries_it_by_itself_and_others_where_they_are_asked() -> None:
    def tried(pictures: int, **given: str) -> bool:
        return default("image_size", pictures, given) == "auto"

    assert tried(999, strategy="auto", weights="auto")
    assert not tried(20_000, strategy="auto", weights="auto")
    assert not tried(999, strategy="auto", weights="none")
    assert not tried(999, strategy="probe", weights="auto")


def test_sides() -> None:
    assert [larger(n) for n in (64, 160, 224, 384)] == [96, 192, 288, 512]
    assert [side(value) for value in (None, "auto", "96", 96)] == [None, "auto", 96, 96]
    for wrong in ("wide", "0", -3):
        with pytest.raises(PlanError) as caught:
            side(wrong)
        assert caught.value.where == "--image-size"


@pytest.mark.parametrize(
    ("given", "chosen_on"),
    [({"strategy": "probe"}, "cross-validation"), ({"strategy": "freeze", "epochs": 1, "views": 1}, "val")],
    ids=["folds", "val"],
)
def test_a_run_says_what_it_chose_and_that_the_pictures_that_judge_chose_it(
    leaves: Path, given: dict[str, Any], chosen_on: str
) -> None:
    notes: list[str] = []
    fitted = ImageClassifier(
        model="test_resnet", weights="none", engine="torch", precision="fp32", image_size="auto", **given
    )
    paths = [path for place in sorted((leaves / "train").iterdir()) for path in sorted(place.glob("*.png"))[:8]]
    fitted.fit(
        paths,
        [path.parent.name for path in paths],
        listen=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
    )
    (said,) = [text for text in notes if text.startswith("pictures are seen at ")]
    pixels = int(said.split(" ")[4])
    assert fitted.about_.preprocessing.size == (pixels, pixels)
    assert fitted.result_.chosen_on == chosen_on


@pytest.mark.parametrize("strategy", ["auto", "probe"])
def test_a_run_by_auto_tries_it_without_being_asked(leaves: Path, tmp_path: Path, strategy: str) -> None:
    weights = tmp_path / "weights.safetensors"
    save_model(zoo.build("test_resnet", classes=2, weights="none").net, str(weights))
    notes: list[str] = []
    paths = [path for place in sorted((leaves / "train").iterdir()) for path in sorted(place.glob("*.png"))[:8]]
    ImageClassifier(model="test_resnet", weights=weights, engine="torch", precision="fp32", strategy=strategy).fit(
        paths,
        [path.parent.name for path in paths],
        listen=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
    )
    assert any(text.startswith("pictures are seen at ") for text in notes) == (strategy == "auto")
