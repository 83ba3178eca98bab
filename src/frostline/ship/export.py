"""A model folder becomes what others run: ONNX, OpenVINO, torch's program, or 8 bit; checked before it is kept.

Each form is one file in ``exporters``; here they are chosen, compared on real pictures, and written whole or not at
all. Other packages may announce forms under the entry-point group ``frostline.forms``.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from frostline.data.cache_folder import expanded
from frostline.data.loose_pictures import pictures
from frostline.data.manifest import Manifest, Row
from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import read
from frostline.data.split import assign_splits, shares_of, with_validation
from frostline.errors import DataError, EngineError, JudgementError, PlanError
from frostline.inference import convert
from frostline.judge.predictions import PICTURES as PICTURES_CSV
from frostline.judge.predictions import read_outcomes
from frostline.judge.training_list import training_list
from frostline.options import FitOptions
from frostline.registry import Registry
from frostline.ship import atomic_folder
from frostline.ship import model_info as _about
from frostline.ship.exporters import as_int8, as_onnx, as_openvino, as_torch, parity, standalone_script
from frostline.ship.exporters.export_spec import Exportable, Form, pictured, prepared
from frostline.ship.exporters.parity import Agreement, Cost
from frostline.ship.given_options import given_options
from frostline.ship.model_info import ModelInfo
from frostline.ship.open_folder import open_folder

forms: Registry[Form] = Registry("form", "frostline.forms", option="--to")
forms.register("onnx", as_onnx.FORM)
forms.register("openvino", as_openvino.FORM)
forms.register("torch", as_torch.FORM)
forms.register("int8", as_int8.FORM)

DESCRIPTION = "export.json"
SCRIPT = "predict.py"
PICTURES = 100
"""How many pictures an export is compared on."""

CALIBRATION = 300
"""How many training pictures set the ranges of int8; more changed nothing on the lesson's data."""


@dataclass(frozen=True)
class Exported:
    """What was written, and how well it answers.

    folder: where. form: "onnx", ... files: their sizes in bytes.
    agreement: with torch. cost: the accuracy that int8 costs, else None.
    """

    folder: Path
    form: str
    takes: str
    files: dict[str, int]
    agreement: Agreement
    cost: Cost | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "folder": str(self.folder)}


def export(
    model: Path,
    to: str,
    *,
    out: Path | None = None,
    with_preprocessing: bool = False,
    data: Path | None = None,
    max_drop: float = 0.01,
    trust: str | None = None,
) -> Exported:
    """Write a model folder (or a run's) in another form, with a ``predict.py`` that needs no frostline.

    out: where; None is beside the model folder, ``model-onnx``.
    with_preprocessing: the graph takes whole uint8 pictures (N, H, W, 3) of any size and resizes, crops and normalises
        them itself; else it takes what has been prepared, (N, 3, H, W) float32, and says how.
    data: pictures to compare on, or a data set as ``fit`` reads it; int8 needs one, to calibrate and to judge.
    max_drop: how much accuracy on val int8 may cost, a share.
    trust: as ``open_folder``.

    Raises: UnknownName: there is no such form. CheckpointError, WeightsError: the model folder is damaged.
        MissingExtra: a package is not installed. DataError, PlanError: no pictures, or none that int8 can be made with.
        EngineError: the network cannot be expressed, what was written does not answer as torch does, or int8 costs too
        much; nothing is left behind then.
    """
    form = forms.get(to)
    source = _about.located(model)
    shipped = open_folder(source, trust=trust)
    out = expanded(out or source.with_name(f"{source.resolve().name}-{to}")).resolve()
    atomic_folder.check(out, {*form.files, SCRIPT, DESCRIPTION})
    leaving = (pictured if with_preprocessing else prepared)(shipped.net, shipped.about)
    manifest: Manifest | None = None
    if form.calibrated:
        manifest = _labelled(data, shipped.about)
        leaving = replace(leaving, calibration=_calibrating(manifest, shipped.about))
    rows, whose = _pictures(model, data, manifest, shipped.about)
    with atomic_folder.whole(out) as made:
        form.write(made, leaving)
        answer = form.opened(made)
        found = parity.agreement(answer, leaving, rows, whose)
        spent = None
        if manifest is None:
            _refuse_if_apart(found, leaving, out)
        else:
            learnt = {row.digest for row in training_list(model) or ()}
            spent = parity.cost(answer, leaving, manifest.part("val").rows, shipped.classes, learnt)
            _refuse_if_dear(spent, max_drop, source)
        if form.standalone is not None:
            text = standalone_script.script(form.runtime, form.standalone, leaving.takes, shipped.preprocessing)
            (made / SCRIPT).write_text(text, encoding="utf-8")
        sizes = {path.name: path.stat().st_size for path in sorted(made.iterdir())}
        exported = Exported(out, to, leaving.takes, sizes, found, spent)
        (made / DESCRIPTION).write_bytes(_about.to_json(_description(exported, leaving, made)))
    return exported


def _description(exported: Exported, leaving: Exportable, made: Path) -> dict[str, Any]:
    about = leaving.about
    return {
        "format": 1,
        "form": exported.form,
        "takes": exported.takes,
        "model": about.name,
        "labels": list(about.classes),
        "temperature": about.temperature,
        "multilabel": about.multilabel,
        "preprocessing": about.preprocessing.to_dict(),
        "agreement": asdict(exported.agreement),
        "cost": None if exported.cost is None else asdict(exported.cost),
        "versions": dict(about.versions),
        "files": {name: {"bytes": size, "sha256": _about.digest(made / name)} for name, size in exported.files.items()},
    }


def _refuse_if_apart(found: Agreement, leaving: Exportable, out: Path) -> None:
    if not found.relative <= parity.TOLERANCE[leaving.takes]:
        raise EngineError(
            f"its logits differ from torch's by {found.relative:.1e} of the largest, on {found.n} pictures",
            where=out,
            hint=f"nothing was kept; try another --to: {', '.join(forms.names())}",
        )


def _refuse_if_dear(spent: Cost, max_drop: float, model: Path) -> None:
    if spent.drop > max_drop:
        raise EngineError(
            f"int8 costs {100 * spent.drop:.1f} points of accuracy on {spent.after.n} pictures of val: "
            f"{spent.before.value:.1%} become {spent.after.value:.1%}, and at most {100 * max_drop:g} points may go",
            where=model,
            hint="nothing was kept; --to onnx keeps all of it, --max-drop allows more, or take another backbone",
        )


def _labelled(data: Path | None, about: ModelInfo) -> Manifest:
    if data is None:
        raise PlanError(
            "int8 is calibrated on training pictures and judged on val", where="--data", hint="name the data of `fit`"
        )
    if about.multilabel:
        raise PlanError("int8 is judged by accuracy, and this model gives several labels at once", hint="--to onnx")
    given, said = given_options(about)[0], about.facts.get("seed")
    seed = said if isinstance(said, int) else 0
    manifest = read(data, classes=about.classes, how=_read_as(about), keep_splits="split" not in given)
    manifest.require_usable()
    if "split" in given:
        return assign_splits(manifest, shares_of(given["split"]), seed=seed)
    return with_validation(manifest, share=given.get("val", FitOptions.val), seed=seed)


def _read_as(about: ModelInfo) -> PlaceOptions:
    """As the data of the model's fit was."""
    return PlaceOptions().recalling(given_options(about)[0])


def _calibrating(manifest: Manifest, about: ModelInfo) -> Sequence[Any]:
    rows = manifest.part("train").rows
    step = max(1, len(rows) // CALIBRATION)
    found = parity.calibration(rows[::step], about, CALIBRATION)
    if not found:
        raise DataError("no training picture can be read", where=manifest.source, hint="name other data")
    return found


def _pictures(model: Path, data: Path | None, manifest: Manifest | None, about: ModelInfo) -> tuple[Sequence[Row], str]:
    """Pictures to compare on: those that are named, else those the run was judged on, else ours."""
    if manifest is not None:
        return _some(manifest.part("val").rows), str(data)
    if data is not None:
        how = _read_as(about)
        rows = list(pictures([str(data)], how=how)) if data.is_dir() else read(data, how=how).rows
        return _some(rows), str(data)
    if judged := _judged(model):
        return _some(judged), "the run's own pictures"
    drawn = convert.samples(about.preprocessing, PICTURES)
    return [Row(picture) for picture in drawn], "drawn samples; --data names real ones"


def _judged(model: Path) -> list[Row]:
    """Pictures that the run's ``pictures.csv`` names and that are still there."""
    listed = _about.located(model).resolve().parent / PICTURES_CSV
    try:
        paths = [Path(outcome.path) for outcome in read_outcomes(listed) if outcome.path]
    except JudgementError:
        return []
    return [Row(path, name=str(path)) for path in paths if path.is_file()]


def _some(rows: Sequence[Row]) -> Sequence[Row]:
    """Up to ``PICTURES`` of them, spread over all."""
    return rows[:: max(1, len(rows) // PICTURES)][:PICTURES]
