"""The model card: `README.md` with metadata in the hub's form, for who meets the model and not its makers.

Names of classes come from folders of strangers: whatever is in them, they are text here, never YAML, Markdown or HTML.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from frostline.data.pictures.reading import AS_IT_IS
from frostline.errors import CheckpointError, first_few, one_line
from frostline.judge.figures import WORDS
from frostline.judge.result import HEADLINES
from frostline.ship.model_info import ModelInfo

_MOST_CLASSES = 200


def text(about: ModelInfo) -> str:
    """The whole card: metadata, what the model tells apart, measured figures, how to use it, how it was made.

    Raises: CheckpointError: its figures are not what they should be (a folder of somebody else's).
    """
    try:
        return _text(about)
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
        said = one_line(str(error))[:100]
        raise CheckpointError(
            f"its figures, facts or versions cannot be worded: {said}",
            where=one_line(about.name)[:200],
            hint="copy the folder again from where it came, or fit the model again",
        ) from None


def _text(about: ModelInfo) -> str:
    metadata = yaml.safe_dump(_metadata(about), allow_unicode=True, sort_keys=False, width=10_000)
    lines = [*_opening(about), *_figures(about), *_classes(about), *_usage(about), *_making(about)]
    return _encodable(f"---\n{metadata}---\n\n" + "\n".join(lines) + "\n")


def escaped(name: str) -> str:
    """Text of strangers on one line of Markdown: nothing in it formats, links, or ends a table's cell."""
    return re.sub(r"([\\`*_{}\[\]<>()#|~$&!@:])", r"\\\1", one_line(name)) or "(no name)"


def _metadata(about: ModelInfo) -> dict[str, Any]:
    found: dict[str, Any] = {
        "library_name": "timm" if about.kind == "timm" else "frostline",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "frostline", *(["timm", "transformers"] if about.kind == "timm" else [])],
    }
    results = [
        {
            "task": {"type": "image-classification"},
            "dataset": {"type": "imagefolder", "name": "own pictures", "split": split},
            "metrics": [
                {"type": kind, "value": round(figures[name]["value"], 6), "name": WORDS[name]}
                for name, kind in (("accuracy", "accuracy"), ("macro_f1", "f1"))
                if name in figures
            ],
        }
        for split, figures in _measured(about)
    ]
    if results:
        found["model-index"] = [{"name": _encodable(one_line(about.name)), "results": results}]
    return found


def _measured(about: ModelInfo) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for split in HEADLINES:
        if isinstance(about.metrics.get(split), Mapping):
            yield split, about.metrics[split]


def _opening(about: ModelInfo) -> Iterator[str]:
    yield f"# {escaped(about.name)}, fine-tuned\n"
    some = first_few([escaped(name) for name in about.classes])
    by = f" {escaped(str(about.versions['frostline']))}" if "frostline" in about.versions else ""
    what = "says which of these a picture shows, any number of them" if about.multilabel else "tells apart"
    yield f"An image classifier that {what}: {some}. Made with frostline{by}.\n"


def _figures(about: ModelInfo) -> Iterator[str]:
    yield "## Measured\n"
    measured = list(_measured(about))
    if not measured:
        yield "Nothing was measured: there were no pictures set apart to judge by.\n"
    for split, figures in measured:
        chosen = about.facts.get("chosen_on") == split
        kind = ", which also chose what was kept, so they are a little too good" if chosen else ""
        if about.facts.get("refit") and split == "val":
            kind += "; by the model before this one, which has learned from them too"
        yield f"On {figures.get('n')} pictures of the {split} split{kind}:\n"
        yield "| figure | value | 95 % interval |"
        yield "| --- | ---: | ---: |"
        for name, words in WORDS.items():
            if name in figures:
                figure = figures[name]
                yield f"| {words} | {figure['value']:.4f} | {figure['low']:.4f} to {figure['high']:.4f} |"
        yield ""
        if base := figures.get("baseline"):
            always, chance = f"{base['share']:.1%}", f"{base['chance']:.1%}"
            yield f"Always answering {escaped(base['answer'])} is right for {always}, chance for {chance}.\n"
    if measured:
        yield "They hold for pictures like those, and say nothing of other ones.\n"


def _classes(about: ModelInfo) -> Iterator[str]:
    yield "## Classes\n"
    split, figures = next(_measured(about), ("", {}))
    rows = {row["name"]: row for row in reversed(figures.get("per_class", []))}
    if rows:
        yield f"Figures on the {split} split:\n"
    yield "| number | class | precision | recall | F1 | pictures |"
    yield "| ---: | --- | ---: | ---: | ---: | ---: |"
    for number, name in enumerate(about.classes[:_MOST_CLASSES]):
        row = rows.get(name, {})
        shares = (_share_of_class(row, key) for key in ("precision", "recall", "f1"))
        yield f"| {number} | {escaped(name)} | {' | '.join(shares)} | {row.get('support', '')} |"
    if len(about.classes) > _MOST_CLASSES:
        yield f"\n{len(about.classes) - _MOST_CLASSES} more are in `frostline.json`."
    yield ""


def _share_of_class(row: Mapping[str, Any], name: str) -> str:
    if row.get(name) is None:
        return ""
    found = row.get("intervals", {}).get(name)
    return f"{row[name]:.3f}" + (f" ({found[0]:.2f} to {found[1]:.2f})" if found else "")


def _usage(about: ModelInfo) -> Iterator[str]:
    yield "## Use\n"
    yield "```\nfrostline predict FOLDER PICTURE...\n```\n"
    if about.kind == "timm":
        yield "```python"
        yield "import timm, transformers\n"
        yield 'net = timm.create_model("local-dir:FOLDER", pretrained=True)'
        yield 'classify = transformers.pipeline("image-classification", model="FOLDER")'
        yield "```"
    elif about.kind == "torchvision":
        yield "The network is torchvision's: timm and transformers do not know it, so they cannot open this folder."
        yield "`frostline.json` says how it is built; the weights lie in safetensors, under torchvision's names."
    elif about.kind == "head2toe":
        yield "The head reads all stages, so timm and transformers cannot open this folder as it is; frostline does,"
        yield "and the graph needs neither. The weights under `net.` are timm's own network with a plain head."
    else:
        yield f"The network is built by {escaped(about.name)}, so timm and transformers cannot open this folder, and"
        yield "opening it with torch runs that code. The graph, if there is one, needs none of it."
    yield ""
    if about.temperature != 1:
        yield f"Logits are divided by a temperature of {about.temperature:.4f} before they become probabilities;"
        yield "frostline does it, others do not. It changes no ranking of classes.\n"
    if "absent" in about.graph:
        yield f"There is no graph for use without torch: {escaped(str(about.graph['absent']))}."
    else:
        yield "`graph.xml` is the same network for OpenVINO: uint8 pictures (N, height, width, 3) in, logits out."
    yield ""


def _making(about: ModelInfo) -> Iterator[str]:
    wants = about.preprocessing
    yield "## Made of\n"
    yield f"- backbone: {escaped(about.name)}"
    for name, value in about.facts.items():
        if isinstance(value, str | int | float):
            yield f"- {escaped(name)}: {escaped(str(value))}"
    yield f"- pictures: {wants.size[0]} x {wants.size[1]}, {wants.interpolation},"
    yield f"  crop {wants.crop_mode} {wants.crop_pct:g}, mean {list(wants.mean)}, std {list(wants.std)}"
    if wants.reading != AS_IT_IS:
        yield f"- read: {wants.reading}"
    yield f"- versions: {escaped(', '.join(f'{name} {number}' for name, number in about.versions.items()))}\n"
    yield "The whole plan and all digests are in `frostline.json`."


def _encodable(words: str) -> str:
    """Lone surrogates, which odd file names are read as, written out."""
    return words.encode("utf-8", "backslashreplace").decode("utf-8")
