"""``frostline fit``: the estimator's own arguments, and the screen while it works."""

import re
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from frostline.cli import gc_settings

_LEARNING, _STEP, _VIEWS, _MACHINE = "How it learns", "Each step", "What it sees", "Where it runs"


def fit(
    data: Annotated[
        Path, Argument(help="Labelled pictures: folder, table (CSV, TSV, Parquet), archive, shards (.tar) or hf:NAME.")
    ],
    model: Annotated[
        str, Option(help="A timm name, torchvision/NAME or package.module:factory.")
    ] = "tf_efficientnet_lite0",
    weights: Annotated[str, Option(help="auto, a checkpoint file, or none.")] = "auto",
    strategy: Annotated[str, Option(help="How to learn; `frostline strategies` lists them.")] = "auto",
    out: Annotated[Path | None, Option(help="The run's folder [default: runs/DATA-STRATEGY].")] = None,
    resume: Annotated[bool, Option("--resume", help="Go on where the run in --out was stopped.")] = False,
    seed: Annotated[int, Option(help="Of everything random.")] = 0,
    val: Annotated[float, Option(help="Share set apart to judge by, if the data has no val split.")] = 0.2,
    split: Annotated[
        str | None, Option(help="Deal all pictures anew: 80/20 (train/val) or 70/15/15 (and test).")
    ] = None,
    group: Annotated[str | None, Option(help="Column (patient, device, day) that no split may part.")] = None,
    few: Annotated[int | None, Option(help="Learn from this many pictures of each class.")] = None,
    lang: Annotated[str, Option(help="Language of the report: en or zh.")] = "en",
    folds: Annotated[
        int | None, Option(help="Judge by cross-validation over so many folds, and learn from every picture.")
    ] = None,
    json: Annotated[bool, Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Say nothing while working.")] = False,
    lr: Annotated[str | None, Option(help="Rate of the head, or auto (range test).", rich_help_panel=_LEARNING)] = None,
    trunk_lr: Annotated[
        float | None, Option(help="Rate of the trunk; 0 freezes it.", rich_help_panel=_LEARNING)
    ] = None,
    decay: Annotated[float | None, Option(help="Rates fall by this factor a stage.", rich_help_panel=_LEARNING)] = None,
    epochs: Annotated[int | None, Option(help="Epochs of each phase that trains.", rich_help_panel=_LEARNING)] = None,
    rank: Annotated[int | None, Option(help="Rank of LoRA adapters.", rich_help_panel=_LEARNING)] = None,
    budget: Annotated[
        str | None, Option(help="Time for the whole run: 90s, 5m, 1h.", rich_help_panel=_LEARNING)
    ] = None,
    patience: Annotated[
        int | None, Option(help="Epochs without a better val loss; 0 is off.", rich_help_panel=_LEARNING)
    ] = None,
    keep: Annotated[str | None, Option(help="best or last epoch.", rich_help_panel=_LEARNING)] = None,
    frozen_norm: Annotated[
        str | None,
        Option(help="hold, hold-all (above the line too), or update.", rich_help_panel=_LEARNING),
    ] = None,
    batch_size: Annotated[int | None, Option(help="Pictures a step.", rich_help_panel=_STEP)] = None,
    optimizer: Annotated[str | None, Option(help="Any of timm's: sgd, adamw, lamb, ...", rich_help_panel=_STEP)] = None,
    momentum: Annotated[float | None, Option(help="Of the optimizer.", rich_help_panel=_STEP)] = None,
    weight_decay: Annotated[float | None, Option(help="Not on norms and biases.", rich_help_panel=_STEP)] = None,
    schedule: Annotated[
        str | None, Option(help="constant, step, cosine, one-cycle or plateau.", rich_help_panel=_STEP)
    ] = None,
    warmup: Annotated[float | None, Option(help="Epochs of rising rate.", rich_help_panel=_STEP)] = None,
    step_size: Annotated[int | None, Option(help="Epochs between falls of `step`.", rich_help_panel=_STEP)] = None,
    gamma: Annotated[float | None, Option(help="Factor of `step` and `plateau`.", rich_help_panel=_STEP)] = None,
    clip: Annotated[float | None, Option(help="Largest gradient norm; 0 is off.", rich_help_panel=_STEP)] = None,
    accumulate: Annotated[int | None, Option(help="Batches an optimizer step.", rich_help_panel=_STEP)] = None,
    ema: Annotated[float | None, Option(help="Decay of averaged weights; 0 is off.", rich_help_panel=_STEP)] = None,
    l2sp: Annotated[float | None, Option(help="Pull to the pretrained weights.", rich_help_panel=_STEP)] = None,
    interpolate: Annotated[
        float | None, Option(help="Share of the way to a phase's weights that is gone.", rich_help_panel=_STEP)
    ] = None,
    label_smoothing: Annotated[float | None, Option(help="In [0, 1).", rich_help_panel=_STEP)] = None,
    balance: Annotated[str | None, Option(help="none, sampling or weights.", rich_help_panel=_STEP)] = None,
    drop_path: Annotated[float | None, Option(help="Stochastic depth in [0, 1).", rich_help_panel=_STEP)] = None,
    compile: Annotated[bool | None, Option("--compile", help="Use torch.compile.", rich_help_panel=_STEP)] = None,
    views: Annotated[
        int | None, Option(help="Stored augmented views a picture; 0: fresh ones, no store.", rich_help_panel=_VIEWS)
    ] = None,
    augment: Annotated[
        str | None, Option(help="none, flip, basic, resized-crop, trivial or rand.", rich_help_panel=_VIEWS)
    ] = None,
    erasing: Annotated[float | None, Option(help="Probability of random erasing.", rich_help_panel=_VIEWS)] = None,
    mixup: Annotated[float | None, Option(help="Beta parameter; 0 is off.", rich_help_panel=_VIEWS)] = None,
    cutmix: Annotated[float | None, Option(help="Beta parameter; 0 is off.", rich_help_panel=_VIEWS)] = None,
    image_size: Annotated[
        int | None, Option(help="Side in pixels, if not the model's own.", rich_help_panel=_VIEWS)
    ] = None,
    engine: Annotated[
        str, Option(help="Below the frost line: auto, openvino or torch.", rich_help_panel=_MACHINE)
    ] = "auto",
    precision: Annotated[str, Option(help="auto, fp32 or bf16.", rich_help_panel=_MACHINE)] = "auto",
    device: Annotated[str, Option(help="auto, cpu, cuda or mps.", rich_help_panel=_MACHINE)] = "auto",
    store_limit: Annotated[str, Option(help="How large the store may grow.", rich_help_panel=_MACHINE)] = "20GB",
    track: Annotated[str | None, Option(help="tensorboard, wandb, mlflow, ...", rich_help_panel=_MACHINE)] = None,
) -> None:
    """Fit a classifier to labelled pictures.

    [dim]frostline fit hymenoptera_data[/dim]
    [dim]frostline fit hymenoptera_data --model resnet18 --weights resnet18-5c106cde.pth --strategy freeze[/dim]
    """
    options = {name: value for name, value in locals().items() if name not in ("data", "json", "quiet")}
    run(data, options, as_json=json, quiet=quiet)


def run(data: Path, options: dict[str, object], *, as_json: bool, quiet: bool) -> Path:
    """Fit with the estimator's arguments, show the screen and the closing table; returns the model folder."""
    from frostline.cli import console

    with console.Screen(quiet=quiet) as screen:
        screen.say(f"reading {data}")
        with gc_settings.importing():
            from frostline.classifier import ImageClassifier

        if isinstance(options.get("lr"), str) and options["lr"] != "auto":
            options = {**options, "lr": number(str(options["lr"]), "--lr")}
        options = {**options, "out": options.get("out") or free_folder(data, str(options["strategy"]))}
        classifier = ImageClassifier(**options).fit(data, listen=screen)  # type: ignore[arg-type]
    result = classifier.result_
    model = Path(str(options["out"])) / "model"
    if as_json:
        console.json({**result.to_dict(), "model_folder": str(model)})
    else:
        console.result(result, data=data, model=model)
    return model


def number(text: str, option: str) -> float:
    """A number from the command line.

    Raises: PlanError: it is none.
    """
    from frostline.errors import PlanError

    try:
        return float(text)
    except ValueError:
        raise PlanError(f"{text!r} is no number", where=option, hint='a number, or "auto"') from None


def free_folder(data: Path, strategy: str) -> Path:
    """``runs/DATA-STRATEGY``, with a number behind it if that is taken."""
    name = re.sub(r"[^\w.]+", "-", f"{data.resolve().stem}-{strategy}").strip("-.")
    folder, count = Path("runs") / name, 1
    while folder.exists():
        count += 1
        folder = Path("runs") / f"{name}-{count}"
    return folder
