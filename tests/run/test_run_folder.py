"""What a run writes over, what a failed one leaves, and what is refused before any data is read."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from frostline import ImageClassifier
from frostline.cli.explain import free_file
from frostline.cli.fit import _place, run
from frostline.errors import CheckpointError, FrostlineError, HeadError, PlanError, UnknownName, WeightsError
from frostline.events import Event, Judged, Note, Step, Warn
from frostline.run.run_folder import RunFolder, check_place
from frostline.workflows.explain import overlay_folder

SMALL: dict[str, Any] = {
    "model": "test_resnet",
    "weights": "none",
    "image_size": 32,
    "engine": "torch",
    "precision": "fp32",
    "strategy": "probe",
}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("strategy", ["probe", "freeze"])
def test_a_finished_run_is_not_written_over_unasked(leaves: Path, tmp_path: Path, strategy: str) -> None:
    """A strategy that trains has had a checkpoint folder; one that solves has not."""
    out = tmp_path / "run"
    ImageClassifier(**{**SMALL, "strategy": strategy}, out=out).fit(leaves)
    before = files(out)
    with pytest.raises(CheckpointError, match="finished run") as caught:
        ImageClassifier(**SMALL, out=out).fit(leaves)
    assert "--overwrite" in str(caught.value.hint)
    with pytest.raises(CheckpointError, match="is finished: there is nothing to resume"):
        ImageClassifier(**SMALL, out=out, resume=True).fit(leaves)
    assert files(out) == before
    with pytest.raises(FrostlineError):  # that is found out when all but the folds is resolved
        ImageClassifier(**SMALL, out=out, overwrite=True, folds=1000).fit(leaves)
    assert files(out) == before
    again = ImageClassifier(**SMALL, out=out, overwrite=True, seed=5).fit(leaves)
    assert again.result_.metrics
    assert files(out)["plan.json"] != before["plan.json"]


def test_a_run_that_is_replaced_and_stopped_leaves_nothing_of_the_one_before(leaves: Path, tmp_path: Path) -> None:
    """Its figures and its model would stand beside the plan and the training pictures of another."""

    def stopped(event: Event) -> None:
        if isinstance(event, Step):
            raise KeyboardInterrupt

    out = tmp_path / "run"
    ImageClassifier(**SMALL, out=out).fit(leaves)
    with pytest.raises(KeyboardInterrupt):
        ImageClassifier(**{**SMALL, "strategy": "freeze"}, out=out, overwrite=True).fit(leaves, listen=stopped)
    assert sorted(files(out)) == ["log.jsonl", "plan.json", "skipped.csv", "training.csv"]
    assert '"freeze"' in (out / "plan.json").read_text()
    assert '"probe"' not in (out / "log.jsonl").read_text()
    check_place(out, resume=True, overwrite=False)


def test_another_run_that_is_gone_on_with_keeps_its_plan(leaves: Path, tmp_path: Path) -> None:
    """The error sends people there for the options that they need."""

    def stopped(event: Event) -> None:
        if isinstance(event, Judged) and event.epoch:
            raise OSError("the power is gone")

    out, slow = tmp_path / "run", {**SMALL, "strategy": "freeze", "epochs": 3}
    with pytest.raises(OSError, match="power"):
        ImageClassifier(**slow, out=out).fit(leaves, listen=stopped)
    before = files(out)
    with pytest.raises(CheckpointError, match="other options"):
        ImageClassifier(**slow, out=out, resume=True, seed=3).fit(leaves)
    assert files(out) == before
    heard: list[Event] = []
    ImageClassifier(**slow, out=out).fit(leaves, listen=heard.append)
    assert any(isinstance(event, Warn) and "--resume would have gone on" in event.text for event in heard)


def test_a_folder_that_is_removed_or_taken_while_a_run_goes_on_is_not_written_into(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
    first.open(resume=False)
    shutil.rmtree(tmp_path / "run")
    for write in (lambda: first.log(Note("on")), lambda: first.json("metrics.json", {})):
        with pytest.raises(CheckpointError, match="removed or replaced"):
            write()
    assert not (tmp_path / "run").exists()
    second.open(resume=False)
    second.json("plan.json", {})
    with pytest.raises(CheckpointError, match="removed or replaced"):
        first.json("metrics.json", {})
    first.discard()
    assert sorted(files(tmp_path / "run")) == ["log.jsonl", "plan.json"]
    second.close()


@pytest.mark.parametrize(
    ("strategy", "said"), [("freeze", "--resume goes on from the last checkpoint"), ("probe", "begins again from them")]
)
def test_who_interrupts_the_judging_hears_what_is_left(
    leaves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], strategy, said
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "run"
    monkeypatch.setattr("frostline.run.runner.finish", stopped)
    options = {**SMALL, "strategy": strategy, "out": str(out), "resume": False}
    with pytest.raises(KeyboardInterrupt):
        run(
            leaves,
            {**options, **({"head_crops": 0} if strategy == "probe" else {"epochs": 1})},
            as_json=False,
            quiet=True,
        )
    told = capsys.readouterr().err
    assert "interrupted before the model was judged" in told
    assert said in told
    assert (out / "model" / "model.safetensors").is_file()


def test_two_runs_never_write_into_one_folder(leaves: Path, tmp_path: Path) -> None:
    first = RunFolder(tmp_path / "run")
    first.open(resume=False)
    first.log(Note("the first run's"))
    for resume in (False, True):
        with pytest.raises(CheckpointError, match="another run is writing"):
            ImageClassifier(**SMALL, out=tmp_path / "run", resume=resume).fit(leaves)
    first.close()
    assert "the first run's" in (tmp_path / "run" / "log.jsonl").read_text()
    assert ImageClassifier(**SMALL, out=tmp_path / "run").fit(leaves).result_.metrics
    assert "the first run's" not in (tmp_path / "run" / "log.jsonl").read_text()


def test_commands_that_are_started_together_have_folders_of_their_own(
    leaves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both look for a free one before either has read its data."""
    monkeypatch.chdir(tmp_path)
    options = {**SMALL, "out": None}
    assert [_place(leaves, options) for _ in range(3)] == [f"runs/leaves-probe{end}" for end in ("", "-2", "-3")]


def test_a_command_that_fails_leaves_no_folder(leaves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for wrong in ({"seed": -1}, {"few": 1, "model": "test_resnet", "trunk_lr": 0.1}):
        with pytest.raises(PlanError):
            run(leaves, {**SMALL, **wrong}, as_json=False, quiet=True)
        assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    with pytest.raises(PlanError):
        run(leaves, {**SMALL, "trunk_lr": 0.1, "out": tmp_path / "mine"}, as_json=False, quiet=True)
    assert list(tmp_path.rglob("*")) == [tmp_path / "mine"]


def test_a_folder_of_other_things_is_left_alone(leaves: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for resume in (False, True):
        with pytest.raises(CheckpointError, match="no run has written"):
            ImageClassifier(**SMALL, out=tmp_path, resume=resume).fit(leaves)
    assert list(files(tmp_path)) == ["thesis.txt"]
    with pytest.raises(CheckpointError, match="file of that name"):
        check_place(tmp_path / "thesis.txt", resume=False, overwrite=True)
    for name in ("n" * 300, "\0"):
        with pytest.raises(CheckpointError, match="cannot be written"):
            RunFolder(tmp_path / name).open(resume=False)
    (tmp_path / "empty").mkdir()
    check_place(tmp_path / "empty", resume=False, overwrite=False)


def test_a_fit_that_fails_leaves_no_folder(leaves: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pth"
    bad.write_bytes(b"not a checkpoint at all, but some text")
    with pytest.raises(WeightsError):
        ImageClassifier(**{**SMALL, "weights": bad}, out=tmp_path / "runs" / "deep" / "run").fit(leaves)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.pth"]
    (tmp_path / "mine").mkdir()
    with pytest.raises(WeightsError):
        ImageClassifier(**{**SMALL, "weights": bad}, out=tmp_path / "mine").fit(leaves)
    assert (tmp_path / "mine").is_dir()


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        ({"strategy": "prob"}, UnknownName),
        ({"model": "resnet81"}, UnknownName),
        ({"engine": "openvine"}, UnknownName),
        ({"weights": "nowhere.pth"}, WeightsError),
        ({"val": 1.5}, PlanError),
        ({"split": "80/80"}, PlanError),
        ({"folds": 1}, PlanError),
        ({"few": 0}, PlanError),
        ({"lang": "fr"}, PlanError),
        ({"budget": "soon"}, PlanError),
        ({"lr": "fast"}, PlanError),
        ({"augment": "much"}, PlanError),
        ({"device": "abacus"}, PlanError),
        ({"precision": "fp3"}, FrostlineError),
        ({"bands": "x"}, PlanError),
        ({"store_limit": "plenty"}, PlanError),
        ({"lr": "-1"}, PlanError),
        ({"epochs": 0}, PlanError),
        ({"drop_path": 1.0}, PlanError),
        ({"drop_path": float("nan")}, PlanError),
        ({"optimizer": "adamm"}, PlanError),
        ({"track": "nosuch"}, PlanError),
    ],
)
def test_wrong_options_are_refused_before_any_data_is_read(option: dict[str, Any], kind: type[Exception]) -> None:
    """The data does not exist: whoever looked for it first would say so."""
    with pytest.raises(kind) as caught:
        ImageClassifier(**{**SMALL, **option}).fit("there/is/no/such/data")
    assert "no such file or folder" not in str(caught.value)


def test_overlays_go_into_the_run_and_not_into_the_data(tmp_path: Path) -> None:
    run, bare = tmp_path / "run", tmp_path / "bare"
    for model in (run / "model", bare):
        model.mkdir(parents=True)
        (model / "frostline.json").write_text("{}")
    (run / "plan.json").write_text("{}")
    assert overlay_folder(run, None) == overlay_folder(run / "model", None) == run / "explained"
    assert overlay_folder(bare, None) == tmp_path / "bare-explained"
    assert overlay_folder(run, tmp_path / "mine") == tmp_path / "mine"
    (run / "explained").rmdir()
    (run / "explained").symlink_to(tmp_path / "mine", target_is_directory=True)
    with pytest.raises(CheckpointError, match="is a link"):
        overlay_folder(run, None)


def test_names_of_overlays_do_not_collide(tmp_path: Path) -> None:
    first = free_file(Path("a/ant.jpg"), tmp_path, set(), over=True)
    Image.new("RGB", (2, 2)).save(first)
    assert free_file(Path("a/ant.jpg"), tmp_path, set(), over=True) == first == tmp_path / "ant.explained.png"
    assert free_file(Path("b/ant.jpg"), tmp_path, {first}, over=True).name == "ant-2.explained.png"
    assert free_file(Path("b/ant.jpg"), tmp_path, set(), over=False).name == "ant-2.explained.png"
    (tmp_path / "bee.explained.png").symlink_to(tmp_path / "nowhere")
    assert free_file(Path("bee.png"), tmp_path, set(), over=False).name == "bee-2.explained.png"


def test_several_heads_are_refused_with_a_strategy_that_works(leaves: Path) -> None:
    options = {**SMALL, "model": "levit_128s", "image_size": None}
    with pytest.raises(HeadError, match=r"2 heads, head\.linear, head_dist\.linear") as caught:
        ImageClassifier(**options).fit(leaves)
    assert "--strategy full" in str(caught.value.hint)


def test_one_picture_a_batch_is_refused_with_the_way_out(leaves: Path) -> None:
    options = {**SMALL, "strategy": "full", "epochs": 1, "batch_size": 1}
    with pytest.raises(PlanError, match="one picture a batch") as caught:
        ImageClassifier(**options).fit(leaves)
    assert "hold-all" in str(caught.value.hint)
    assert ImageClassifier(**options, frozen_norm="hold-all").fit(leaves).score(leaves / "test") >= 0.5
