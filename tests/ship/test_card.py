"""What the model card says of each class is measured where the card says."""

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from frostline.data.views import Preprocessing
from frostline.judge.metrics import report
from frostline.ship import card
from frostline.ship.model_info import ModelInfo


def test_the_table_of_classes_is_of_the_test_split_where_there_is_one() -> None:
    """A val split that chose came after it and was the one that stayed."""
    rng = np.random.default_rng(0)
    classes, figures, own = ("ants", "bees"), {}, []
    for split, n, wrong in (("test", 200, 0.3), ("val", 60, 0.0)):
        y = rng.integers(0, 2, n)
        said = np.where(rng.random(n) < wrong, 1 - y, y)
        figures[split] = report(np.eye(2)[said] * 0.8 + 0.1, y, classes, resamples=50).to_dict()
        own.append(precision_recall_fscore_support(y, said))
    text = card.text(ModelInfo(name="net", classes=classes, preprocessing=Preprocessing(), metrics=figures))
    table = text.split("## Classes")[1].split("## Use")[0]
    assert "Figures on the test split:" in table
    for number, name in enumerate(classes):
        precision, recall, f1, n = (values[number] for values in own[0])
        cells = [cell.split(" (")[0].strip() for cell in table.split(f"| {name} |")[1].split("\n")[0].split("|")]
        assert cells[:4] == [f"{precision:.3f}", f"{recall:.3f}", f"{f1:.3f}", f"{n}"]
    assert "split:" not in card.text(ModelInfo(name="net", classes=classes, preprocessing=Preprocessing()))
