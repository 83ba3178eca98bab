"""What is written as CSV is read back as it was, whatever stands in a name, and however long a cell is."""

import csv
import io
from pathlib import Path

import pytest

from frostline.data import csv_files
from frostline.data.manifest import Manifest, Row, Skipped
from frostline.judge.predictions import Outcome, read_outcomes
from frostline.judge.predictions import to_csv as pictures_csv
from frostline.judge.training_list import to_csv, training_list
from frostline.run.run_folder import RunFolder

ODD = ("a\rb.jpg", "\r", "a\r\nb", "a\nb", 'say "a", b', " a\t", "a;b", "蚂蚁", "\udcff", "x" * 200_000)


@pytest.mark.parametrize("name", ODD)
def test_a_cell_is_read_back_as_it_was(name: str) -> None:
    text = io.StringIO(newline="")
    write = csv_files.writer(text)
    for cells in (("path", "n"), (name, 1), ("b", 2)):
        write(cells)
    assert text.getvalue().startswith("path,n\n")
    assert text.getvalue().endswith("\nb,2\n")
    limit = csv.field_size_limit()
    assert csv_files.rows(io.StringIO(text.getvalue(), newline="")) == [["path", "n"], [name, "1"], ["b", "2"]]
    assert csv_files.records(io.StringIO(text.getvalue(), newline=""))[0] == {"path": name, "n": "1"}
    assert csv.field_size_limit() == limit


def test_files_of_a_run_are_read_back_as_they_were(tmp_path: Path) -> None:
    rows = [Row(Path("/p.png"), ("a",), name=name, digest="d") for name in ODD]
    outcomes = [Outcome(row.name, "/p.png", "d", "val", "a", "a", 0.5, True, "") for row in rows]
    for name, text in (
        ("pictures.csv", pictures_csv(outcomes)),
        ("training.csv", to_csv(Manifest(tuple(rows), ("a",)))),
    ):
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_outcomes(tmp_path / "pictures.csv") == outcomes
    assert training_list(tmp_path, several=False) == tuple(rows)
    RunFolder(tmp_path / "run").skipped([Skipped(name, "no picture") for name in ODD])
    with (tmp_path / "run" / "skipped.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert [row[0] for row in csv_files.rows(file)] == ["path", *ODD]
