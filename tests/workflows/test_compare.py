"""Runs are compared on the very same pictures or not at all."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from frostline.cli import app
from frostline.errors import JudgementError
from frostline.judge.figures import Report
from frostline.judge.intervals import Interval
from frostline.judge.predictions import Outcome
from frostline.judge.result import RunResult
from frostline.run.run_folder import RunFolder
from frostline.workflows.compare import compare


def run(folder: Path, right: str, *, split: str = "val", first: int = 0, label: str = "ants") -> Path:
    """A run whose picture n is right where right[n] is "1"."""
    record = RunFolder(folder)
    folder.mkdir(parents=True)
    record.pictures(
        [Outcome(f"{n}", "", f"d{n}", split, label, "bees", 0.6, c == "1") for n, c in enumerate(right, start=first)]
    )
    log_loss = Report(len(right), {"log_loss": Interval(0.5, 0.4, 0.6, len(right))}, (), np.zeros((2, 2), np.int64))
    result = RunResult("s", "m", (), {split: log_loss}, None, ("ants", "bees"), {}, (), 2.0, "torch")
    record.json("metrics.json", result.to_dict())
    (folder / "model").mkdir()
    return folder


def test_the_best_comes_first_and_pairs_are_counted(tmp_path: Path) -> None:
    one, two = run(tmp_path / "one", "1100" * 10), run(tmp_path / "two", "1110" * 10)
    found = compare([one, two / "model"])
    assert [entry.name for entry in found.entries] == ["two", "one"]
    assert (found.n, found.split) == (40, "val")
    (pair,) = found.differences
    assert (pair.paired.gained, pair.paired.lost, pair.real) == (0, 10, True)
    assert found.entries[0].accuracy.value == 0.75
    assert found.entries[0].figures == {"log_loss": 0.5}
    values = json.loads(json.dumps(found.to_dict()))
    assert values["pairs"][0]["first"] == "two"
    assert values["baseline"] == {"answer": "ants", "share": 1.0}
    assert values["pairs"][0]["p"] == pytest.approx(2**-10)


def test_the_order_of_the_pictures_does_not_matter_and_equal_pictures_count_each(tmp_path: Path) -> None:
    rows = [Outcome("a", "", "same", "val", "x", "x", 0.9, True), Outcome("b", "", "same", "val", "x", "y", 0.9, False)]
    for name, part in (("one", rows), ("two", rows)):
        (tmp_path / name).mkdir()
        RunFolder(tmp_path / name).pictures(part)
    assert compare([tmp_path / "one", tmp_path / "two"]).n == 2


def test_groups_of_pictures_csv_widen_intervals_and_are_turned_whole(tmp_path: Path) -> None:
    """Eight groups of five, one of which another run has right: picture by picture five of five would be real."""
    for name, right in (("one", "1" * 35 + "0" * 5), ("two", "1" * 40)):
        (tmp_path / name).mkdir()
        for group in (True, False):
            rows = [
                Outcome(f"{n}", "", f"d{n}", "val", "ants", "bees", 0.6, c == "1", f"g{n // 5}" if group else "")
                for n, c in enumerate(right)
            ]
            RunFolder(tmp_path / name / f"{group}").pictures(rows)
    grouped, alone = (compare([tmp_path / name / f"{group}" for name in ("one", "two")]) for group in (True, False))
    assert (grouped.n, grouped.units, alone.units) == (40, 8, 40)
    assert grouped.differences[0].p > 0.2
    assert alone.differences[0].p < 0.05
    assert grouped.entries[1].accuracy.low < alone.entries[1].accuracy.low - 0.1
    told = CliRunner().invoke(app, ["compare", *(str(tmp_path / name / "True") for name in ("one", "two"))])
    assert "the signs of 8 groups and single pictures turned at random" in told.output


def test_the_commonest_answer_may_be_no_class(tmp_path: Path) -> None:
    found = compare([run(tmp_path / name, "1100", label="") for name in ("one", "two")])
    assert found.commonest == ("no class", 4)


def test_of_answers_that_are_as_common_the_first_by_name_is_said(tmp_path: Path) -> None:
    """As reports have it, and not as the pictures' digests fall."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        rows = [Outcome(f"{n}", "", f"d{n}", "val", label, label, 0.6, True, "") for n, label in enumerate("ccbbaa")]
        RunFolder(tmp_path / name).pictures(rows)
    assert compare([tmp_path / "one", tmp_path / "two"]).commonest == ("a", 2)


def test_names_are_as_long_as_they_must_be(tmp_path: Path) -> None:
    one, two = run(tmp_path / "a" / "probe", "11"), run(tmp_path / "b" / "probe", "10")
    assert [entry.name for entry in compare([one, two]).entries] == ["a/probe", "b/probe"]


def test_cross_validation_and_val_meet_on_what_both_held_out(tmp_path: Path) -> None:
    crossed = run(tmp_path / "probe", "1" * 30 + "0" * 10, split="cross-validation")
    val = run(tmp_path / "auto", "0" * 10, first=30)  # the last ten pictures
    found = compare([crossed, val])
    assert (found.n, found.split) == (10, "held-out pictures")
    assert [entry.accuracy.value for entry in found.entries] == [0, 0]
    with pytest.raises(JudgementError, match="same split"):
        compare([crossed, val], split="val")


def test_other_pictures_labels_and_splits_are_refused(tmp_path: Path) -> None:
    one = run(tmp_path / "one", "1100")
    for number, (other, what) in enumerate(
        [
            ({"first": 2}, "2 of 4 and 4 are the same"),
            ({"label": "wasps"}, "'ants' in one and 'wasps'"),
            ({"split": "test"}, "not judged on the same split"),
        ]
    ):
        two = run(tmp_path / f"two{number}", "1100", **other)  # type: ignore[arg-type]
        with pytest.raises(JudgementError, match=what) as told:
            compare([one, two])
        assert told.value.where is not None
        assert told.value.hint is not None
    with pytest.raises(JudgementError, match="1 run cannot"):
        compare([one, one / "model"])
    with pytest.raises(JudgementError, match="not judged on the same split"):
        compare([one, run(tmp_path / "three", "1111")], split="test")
    with pytest.raises(JudgementError, match="cannot be read"):
        compare([one, tmp_path / "nothing"])


def test_the_command_draws_intervals_and_says_what_is_real(tmp_path: Path) -> None:
    folders = [str(run(tmp_path / name, right)) for name, right in (("good", "1" * 40), ("bad", "10" * 20))]
    found = CliRunner().invoke(app, ["compare", *folders])
    assert found.exit_code == 0
    assert "good is better than bad: 20 pictures only good has right, 0 only bad" in found.output
    assert found.output.count("●") == 2
    assert "to compare: always 'ants' is right for 100.0%" in found.output
    assert json.loads(CliRunner().invoke(app, ["compare", *folders, "--json"]).output)["pairs"][0]["real"]
