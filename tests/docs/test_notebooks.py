"""Both notebooks run from their first cell to their last, in a kernel of their own, on a reader's folder."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.pages import ROOT
from tests.docs.test_docs import here, shelf

__all__ = ["here", "shelf"]  # fixtures: a folder in which all that the pages name lies
BOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def outputs(book: Any, kind: str) -> list[str]:
    return [
        str(output.data[kind])
        for cell in book.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if kind in output.get("data", {})
    ]


@pytest.mark.parametrize("place", BOOKS, ids=lambda place: place.stem)
def test_a_notebook_runs_and_shows_what_it_promises(place: Path, here: Path) -> None:
    book = nbformat.read(place, as_version=4)
    NotebookClient(book, timeout=240, resources={"metadata": {"path": str(here)}}).execute()
    assert any("accuracy" in html and "<table>" in html for html in outputs(book, "text/html"))
    assert outputs(book, "image/png")  # at least the confusion matrix


def test_notebooks_are_kept_without_outputs() -> None:
    for place in BOOKS:
        book = nbformat.read(place, as_version=4)
        assert all(not cell.get("outputs") for cell in book.cells), place.name
