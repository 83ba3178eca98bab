"""No option is accepted and then does nothing: each is refused, or a warning says so."""

from pathlib import Path

import pytest

from frostline import ImageClassifier
from frostline.errors import PlanError
from frostline.events import Event, Warn
from tests.docs.pages import in_process

TINY = {"model": "test_resnet", "weights": "none", "image_size": 32, "device": "cpu", "engine": "torch"}


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("check DATA --drop leakage --no-features", "--drop"),
        ("check DATA --no-features --model resnet18", "--model"),
        ("check DATA --no-features --on ray", "--on"),
        ("check DATA --no-features --write x.csv --drop unreadable,labels", "--drop"),
        ("check DATA --no-features --write x.csv --drop outliers", "--drop"),
        ("check DATA --address auto", "--address"),
        ("embed DATA --address auto", "--address"),
        ("predict MODEL DATA --address auto", "--address"),
        ("predict MODEL DATA --on ray --out x --top 3", "--top"),
        ("predict MODEL DATA --on ray --out x --shard 0/2", "--shard"),
        ("export MODEL --to onnx --max-drop 0.1", "--max-drop"),
        ("fit DATA --address auto", "--address"),
    ],
)
def test_what_another_option_leaves_nothing_to_is_refused(
    leaves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, option: str
) -> None:
    words = [str(leaves) if word == "DATA" else word for word in command.split()]
    monkeypatch.chdir(tmp_path)
    code, _, said = in_process(words)
    assert code == 2
    assert f"at {option}" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["resume", "overwrite"])
def test_what_concerns_a_folder_needs_one(leaves: Path, option: str) -> None:
    with pytest.raises(PlanError, match=f"--{option} is of a run in a folder"):
        ImageClassifier(**TINY, **{option: True}).fit(leaves)


@pytest.mark.parametrize(("option", "value"), [("drop_path", 0.2), ("track", "tensorboard")])
def test_what_only_training_uses_is_refused_by_a_head_that_is_fitted(leaves: Path, option: str, value: object) -> None:
    with pytest.raises(PlanError, match=f"'probe' has no use for --{option.replace('_', '-')}"):
        ImageClassifier(**TINY, strategy="probe", **{option: value}).fit(leaves)


def test_a_share_of_val_beside_a_val_split_is_warned_of(leaves: Path) -> None:
    said: list[Event] = []
    ImageClassifier(**TINY, strategy="probe", val=0.4).fit(leaves, listen=said.append)
    assert "--val says nothing here: there is a val split" in [event.text for event in said if isinstance(event, Warn)]
