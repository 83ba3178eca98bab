"""The list of the pictures that a run learned from, ``training.csv`` in its folder: written here, and read here."""

import csv
from pathlib import Path

from frostline.data import csv_files
from frostline.data.label_text import as_text, labels_in
from frostline.data.manifest import Manifest, Row
from frostline.errors import DataError, one_line

TRAINING = "training.csv"

_FIELDS = ("name", "path", "digest", "label")


def to_csv(manifest: Manifest) -> str:
    """The text of ``training.csv``, one line a picture; "|" joins the labels of those that may have several."""

    def line(row: Row) -> tuple[object, ...]:
        path = row.picture.absolute() if isinstance(row.picture, Path) else ""
        return row.name, path, row.digest, as_text(row.labels, several=manifest.multilabel)

    return csv_files.text((_FIELDS, *map(line, manifest.rows)))


def run_of(place: Path) -> Path | None:
    """The folder of the run that a model belongs to; None where it lies by itself, whatever else lies there.

    place: the model folder of a run, or the run's folder.
    """
    inside = place.absolute()
    holder = inside.parent if inside.name == "model" else inside
    return holder if (holder / "plan.json").is_file() else None


def training_list(model: Path, *, several: bool = False) -> tuple[Row, ...] | None:
    """The pictures that a model learned from, or None where it came without its run's folder.

    model: a model folder, one with it in ``model/``, or a run's folder.
    several: whether a picture may have several labels, as the model says.
    A picture without a path of its own has Path(".").

    Raises: DataError: the list is damaged.
    """
    folders = (model, model / "model", run_of(model))
    places = [folder / TRAINING for folder in folders if folder and (folder / TRAINING).is_file()]
    if not places:
        return None
    try:
        with places[0].open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return tuple(
                Row(
                    Path(line["path"] or "."),
                    labels_in(line["label"], several=several),
                    name=line["name"],
                    digest=line["digest"],
                )
                for line in csv_files.records(file)
            )
    except (OSError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise DataError(
            f"the list of training pictures cannot be read: {one_line(str(error))[:100]}",
            where=places[0],
            hint="fit again; to evaluate without it, count all pictures with --all",
        ) from None
