"""What became of each picture goes to a file and comes back, whatever its name is made of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frostline.data.manifest import Manifest, Row
from frostline.data.pictures.picture import content_digest
from frostline.errors import CheckpointError, JudgementError
from frostline.judge.predictions import Outcome, outcomes, picture_at, read_outcomes
from frostline.run.run_folder import RunFolder
from frostline.workflows.report_data import html_of_folder
from tests.waiting import pipe, pipes, without_waiting

CLASSES = ("ants", "bees")


def test_rows_say_what_was_answered_and_whether_it_is_right() -> None:
    rows = (Row(Path("/p/a.png"), ("ants",), name="a.png", digest="d1"), Row(b"", ("bees",), name="b", digest="d2"))
    found = outcomes(Manifest(rows, CLASSES), np.array([[0.9, 0.1], [0.75, 0.25]]), "val")
    assert found == [
        Outcome("a.png", "/p/a.png", "d1", "val", "ants", "ants", 0.9, True),
        Outcome("b", "", "d2", "val", "bees", "ants", 0.75, False),
    ]


def test_several_labels_are_right_only_together() -> None:
    rows = (Row(b"", ("ants", "bees"), name="a"), Row(b"", ("bees",), name="b"), Row(b"", (), name="c"))
    found = outcomes(Manifest(rows, CLASSES, multilabel=True), np.array([[0.9, 0.6], [0.7, 0.8], [0.1, 0.2]]), "test")
    assert [(row.label, row.predicted, row.probability, row.right) for row in found] == [
        ("ants|bees", "ants|bees", 0.6, True),
        ("bees", "ants|bees", 0.7, False),
        ("", "", 0.8, True),
    ]


def test_labels_are_written_in_the_order_of_the_answers() -> None:
    """Else equal labels were two, to `compare` and to a reader's filter."""
    rows = (Row(b"", ("bees", "ants"), name="a"), Row(b"", ("ants", "bees"), name="b"))
    (one, other), (turned, _) = (
        outcomes(Manifest(rows, classes, multilabel=True), np.array([[0.9, 0.6]] * 2), "test")
        for classes in (CLASSES, CLASSES[::-1])
    )
    assert one.label == other.label == one.predicted == "ants|bees"
    assert turned.label == turned.predicted == "bees|ants"


def test_names_of_any_kind_come_back(tmp_path: Path) -> None:
    names = (
        "plain",
        'quote " and, comma',
        "line\nbreak",
        "=SUM(A1)",
        "Ameise äöü 蚂蚁",
        b"no utf-8 \xff".decode("utf-8", "surrogateescape"),
    )
    rows = [Outcome(name, "/x/" + name, "d", "val", name, name, 0.123456, n % 2 == 0) for n, name in enumerate(names)]
    RunFolder(tmp_path).pictures(rows)
    assert read_outcomes(tmp_path / "pictures.csv") == rows


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", "name,path,digest,split,label,predicted,probability,right\na,b,c,d,e,f,g,1\n"]
)
def test_what_no_run_has_written_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "pictures.csv").write_text(text)
    with pytest.raises(JudgementError, match="not the pictures of a run"):
        read_outcomes(tmp_path / "pictures.csv")
    with pytest.raises(JudgementError, match="cannot be read"):
        read_outcomes(tmp_path / "absent.csv")


@pipes
def test_pipes_in_the_folder_of_a_run_are_not_waited_for(tmp_path: Path) -> None:
    for name in ("pictures.csv", "metrics.json", "plan.json", "log.jsonl", "skipped.csv"):
        pipe(tmp_path / name)
    with without_waiting():
        with pytest.raises(JudgementError, match="not an ordinary file"):
            read_outcomes(tmp_path / "pictures.csv")
        with pytest.raises(CheckpointError, match="not an ordinary file"):
            html_of_folder(tmp_path, lang="en")


def test_a_judged_picture_is_found_while_its_content_is_the_same(tmp_path: Path) -> None:
    place = tmp_path / "a.png"
    place.write_bytes(b"what was judged")
    row = Outcome("a.png", str(place), content_digest(place), "val", "ants", "ants", 0.9, True)
    assert picture_at(row) == place
    place.write_bytes(b"another picture by now")
    assert picture_at(row) is None
    assert [picture_at(replace(row, path=path)) for path in ("", "/", "\0", str(tmp_path / "gone"))] == [None] * 4
