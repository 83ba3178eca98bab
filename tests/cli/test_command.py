"""The command as a user meets it: what it prints, where, and with which exit code."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from frostline import cli
from tests.docs.pages import in_process


def started(*words: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "frostline", *map(str, words)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=os.environ)


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """As `started`, without the seconds that starting takes."""
    return subprocess.CompletedProcess(words, *in_process(list(map(str, words))))


@pytest.fixture(scope="module")
def model(leaves: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "leaves"
    began = monotonic()
    found = started("fit", leaves, "--strategy", "probe", "--out", out)
    waited = monotonic() - began
    assert found.returncode == 0, found.stderr
    said = re.search(r"^(\d+\.\d) s; model saved to", found.stdout, re.MULTILINE)
    assert said is not None
    # What the person waited for: imports and the report too, which the fit's own seconds leave out.
    assert json.loads((out / "metrics.json").read_text())["seconds"] + 0.1 < float(said[1]) <= waited + 0.1
    assert "accuracy" in found.stdout
    assert "frostline predict" in found.stdout
    return out


def test_predict_writes_a_line_a_picture_and_tells_what_it_cannot_read(
    model: Path, leaves: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    found = run("predict", model, leaves / "test" / "red leaf", broken, "--csv")
    rows = list(csv.DictReader(found.stdout.splitlines()))
    assert found.returncode == 1
    assert len(rows) == 12
    assert sum(row["label"] == "red leaf" for row in rows) >= 10
    assert all(0.5 <= float(row["probability"]) <= 1 for row in rows)
    assert "broken.png" in found.stderr
    assert "Traceback" not in found.stderr
    leaf = leaves / "test" / "green leaf" / "0.png"
    piped = started("predict", model, "-", "--json", "--top", "2", stdin=f"{leaf}\n")
    assert [item["label"] for item in json.loads(piped.stdout)["classes"]] == ["green leaf", "red leaf"]


def test_predict_names_sets_and_marks_what_is_strange(model: Path, leaves: Path, tmp_path: Path) -> None:
    leaf = leaves / "test" / "green leaf" / "0.png"
    line = json.loads(run("predict", model, leaf, "--json", "--coverage", "0.9").stdout)
    assert line["coverage"] == 0.9
    assert line["set"][0] == line["classes"][0]["label"]
    assert line["novel"] in (True, False)
    row = next(csv.DictReader(run("predict", model, leaf, "--csv", "--coverage", "0.999").stdout.splitlines()))
    assert sorted(row["set"].split("|")) == ["green leaf", "red leaf"]
    assert row["novel"] in ("0", "1")
    assert "at most" in run("predict", model, leaf, "--coverage", "0.999").stderr
    refused = run("predict", model, leaf, "--coverage", "95")
    assert refused.returncode == 2
    assert "between 0 and 1" in refused.stderr


def test_evaluate_gives_figures_as_json(model: Path, leaves: Path) -> None:
    found = run("evaluate", model, leaves, "--split", "test", "--json")
    values = json.loads(found.stdout)
    assert values["metrics"]["accuracy"]["n"] == 24
    assert values["drift"]["distance"]["n"] == 24
    assert values["drift"]["mix"]["now"] == {"green leaf": 0.5, "red leaf": 0.5}
    assert [row["coverage"] for row in values["coverage"]] == [0.8, 0.9, 0.95, 0.99]
    assert "drift" in run("evaluate", model, leaves, "--split", "test").stdout


def test_bad_input_is_three_lines_and_exit_code_two(leaves: Path, tmp_path: Path) -> None:
    for words in (
        ["fit", tmp_path / "nowhere"],
        ["fit", leaves, "--model", "resnet1888"],
        ["fit", leaves, "--strategy", "ful"],
        ["predict", tmp_path, leaves],
    ):
        found = started(*words) if words[0] == "predict" else run(*words)
        assert found.returncode == 2
        assert found.stderr.splitlines()[-3:][0] or found.stderr
        assert "error: " in found.stderr
        assert "hint: " in found.stderr
        assert "Traceback" not in found.stderr


@pytest.mark.parametrize("words", [["fit", ""], ["predict", ".", ""], ["check", ".", "--out", ""]])
def test_an_empty_name_is_not_the_folder_that_one_is_in(
    words: list[str], leaves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a variable of the shell that nobody set."""
    monkeypatch.chdir(leaves)
    code, _, err = in_process(words)
    assert code == 2
    assert err.startswith("error: a name or value is empty\n  at frostline")


@pytest.mark.parametrize("words", [["--ignore", "b", "--ignore=c"], ["--epochs", "3", "--epochs", "5"]])
def test_an_option_that_is_given_twice_is_refused(words: list[str], leaves: Path) -> None:
    """The last one won, and of two --ignore the first was learned from."""
    code, _, err = in_process(["fit", str(leaves), *words])
    assert code == 2
    assert err.startswith(f"error: {words[0]} is given 2 times\n  at frostline fit\n  hint: ")


@pytest.mark.skipif(os.name == "nt", reason="other permissions there")
def test_a_cache_that_cannot_be_made_is_said_with_what_names_another(
    leaves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    code, _, err = in_process(["store", "ls"])
    assert code == 2
    assert "hint: " in err
    assert "XDG_CACHE_HOME" in err


@pytest.mark.parametrize(
    ("words", "where"), [(["--json", "--csv"], "--json, --csv"), (["--json", "--out", "x"], "--out")]
)
def test_forms_that_exclude_each_other_are_named(words: list[str], where: str) -> None:
    code, _, err = in_process(["predict", "run", "picture.jpg", *words])
    assert code == 2
    assert f"\n  at {where}\n  hint: " in err


def test_ctrl_c_while_it_is_imported_is_no_traceback() -> None:
    code = (
        "import builtins\n"
        "from frostline.__main__ import main\n"
        "there = builtins.__import__\n"
        "def pressed(name, *how, **more):\n"
        "    if name == 'typer': raise KeyboardInterrupt\n"
        "    return there(name, *how, **more)\n"
        "builtins.__import__ = pressed\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_a_hostile_checkpoint_is_refused_and_not_run(leaves: Path, tmp_path: Path) -> None:
    import pickle

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'run-by-pickle'}",)

    bad = tmp_path / "bad.pth"
    bad.write_bytes(pickle.dumps({"state_dict": Hostile()}))
    found = run("fit", leaves, "--model", "resnet18", "--weights", bad)
    assert found.returncode == 2
    assert not (tmp_path / "run-by-pickle").exists()
    assert "error: " in found.stderr


def test_lists(model: Path) -> None:
    listed = {line.split()[0]: line for line in run("strategies").stdout.splitlines()}
    assert listed["lora"].endswith("Takes --lr, --epochs, --rank.")
    assert "--trunk-lr" in listed["lp-ft"]
    assert "tf_efficientnet_lite0" in run("models", "lite0").stdout.splitlines()[0]
    assert "rows" in run("store", "ls").stdout
    assert run("--version").stdout.startswith("frostline ")


def test_export_push_and_shards_are_commands(model: Path, leaves: Path, tmp_path: Path) -> None:
    found = run("export", model, "--to", "openvino", "--data", leaves / "val", "--out", tmp_path / "out", "--json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["agreement"]["same_top"] == 1.0
    assert (tmp_path / "out" / "predict.py").is_file()
    sent = run("push", model, "me/leaves", "--dry-run")
    assert sent.returncode == 0, sent.stderr
    assert "private" in sent.stdout
    assert "model.safetensors" in sent.stdout
    assert "nothing was sent" in sent.stderr
    for shard in ("0/2", "1/2"):
        assert run("predict", model, leaves / "test", "--out", tmp_path / "answers", "--shard", shard).returncode == 0
    merged = run("merge", tmp_path / "answers")
    assert merged.returncode == 0, merged.stderr
    assert len(list(csv.DictReader(merged.stdout.splitlines()))) == 24


def test_several_processes_need_a_place_for_their_results(model: Path, leaves: Path) -> None:
    found = run("predict", model, leaves / "test", "--shard", "0/2")
    assert found.returncode == 2
    assert "--out DIR" in found.stderr


def test_check_prints_what_it_found_writes_a_page_and_fails_if_asked_to(leaves: Path, tmp_path: Path) -> None:
    place = shutil.copytree(leaves, tmp_path / "leaves")
    shutil.copy(place / "train/red leaf/3.png", place / "test/red leaf/copy.png")
    page, table = tmp_path / "check.html", tmp_path / "cleaned.csv"
    words = ["check", place, "--no-features", "--out", page, "--write", table, "--drop", "leakage", "--json"]
    found = run(*words)
    assert found.returncode == 0, found.stderr
    said = json.loads(found.stdout)
    assert said["failed"]
    assert said["findings"][0]["check"] == "leakage"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert len(list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))) == 96
    assert "96 pictures" in found.stderr
    (place / "notes.md").write_text("")
    strict = run("check", place, "--no-features", "--out", page, "--strict", "--quiet", "--ignore", "*.md")
    assert "--ignore &#39;*.md&#39; --write cleaned.csv" in page.read_text(
        encoding="utf-8"
    )  # read again as it was read
    assert strict.returncode == 1
    assert "1 of 25 test pictures are also in train" in strict.stdout
    assert strict.stderr == ""


def test_the_command_of_the_page_asks_the_network_that_the_page_shows(leaves: Path, tmp_path: Path) -> None:
    place = shutil.copytree(leaves, tmp_path / "leaves")
    shutil.copy(place / "train/red leaf/3.png", place / "test/red leaf/copy.png")
    page = tmp_path / "check.html"
    how = ["--model", "test_resnet", "--weights", "none", "--engine", "torch"]
    for options in (how, ["--no-features"]):
        code, _, err = in_process(["check", str(place), *options, "--out", str(page), "--quiet"])
        assert code == 0, err
        typed = re.findall(r"frostline check \S+ (.*?)--write cleaned.csv", page.read_text(encoding="utf-8"))
        assert typed
        assert all(said.split() == options for said in typed)


def test_results_of_many_processes_have_the_columns_of_csv(model: Path, leaves: Path, tmp_path: Path) -> None:
    asked = (model, leaves / "test", "--coverage", "0.9", "--top", "2")
    alone = list(csv.DictReader(run("predict", *asked, "--csv").stdout.splitlines()))
    assert run("predict", *asked, "--out", tmp_path / "job").returncode == 0
    together = list(csv.DictReader(run("merge", tmp_path / "job").stdout.splitlines()))
    assert list(together[0]) == [*alone[0], "error"]
    assert sorted(line["path"] for line in alone) == [line["path"] for line in together]
    by_path = {line["path"]: line for line in alone}
    assert all({**by_path[line["path"]], "error": ""} == line for line in together)
    assert {name for line in together for name in line["set"].split("|")} <= {"green leaf", "red leaf"}


def test_results_with_unread_pictures_exit_with_1_and_say_how_many(model: Path, leaves: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    good = next((leaves / "test").rglob("*.png"), None) or next((leaves / "test").rglob("*.jpg"))
    (new / f"good{good.suffix}").write_bytes(good.read_bytes())
    (new / "bad.png").write_bytes(b"no picture")
    code, _, err = in_process(["predict", str(model), str(new), "--out", str(tmp_path / "job")])
    assert code == 1
    assert "2 pictures, 1 of them could not be read" in err


@pytest.mark.parametrize("place", ["pipe", "folder", "file/x", "x" * 300])
def test_a_place_that_cannot_be_written_is_said_in_three_parts(
    place: str, model: Path, leaves: Path, tmp_path: Path
) -> None:
    """Of commands that have no words of their own for it, too; what stands there stays."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious").touch()
    (tmp_path / "file").touch()
    job = str(tmp_path / "job")
    assert in_process(["predict", str(model), str(leaves / "val" / "red leaf"), "--out", job])[0] == 0
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    for words in (["merge", job], ["report", str(model)], ["export", str(model), "--to", "openvino"]):
        code, _, err = in_process([*words, "--out", str(tmp_path / place)])
        assert code == 2, (words, err)
        assert err.count("error: ") == 1
        assert "\n  at " in err
        assert "\n  hint: " in err
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before
    assert (tmp_path / "pipe").is_fifo()


def test_a_home_that_nobody_has_is_said(monkeypatch: pytest.MonkeyPatch, leaves: Path, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "~nobody-is-called-so/cache")
    code, _, err = in_process(["check", str(leaves), "--no-features"])
    assert code == 2
    assert "no such home folder" in err
    assert "XDG_CACHE_HOME" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"[" * 200_000, b"null", b'"text"', b"path,reason\n" + b"x" * 300_000 + b",y\n"])
def test_what_a_run_or_a_job_holds_may_be_damaged_in_any_way(
    content: bytes, model: Path, leaves: Path, tmp_path: Path
) -> None:
    """Read, or refused in three parts: of none of its files a traceback."""
    few = str(leaves / "val" / "red leaf")
    assert in_process(["predict", str(model), few, "--out", str(tmp_path / "job")])[0] == 0
    for name in ("job.json", "shard-00000-of-00001.done"):
        shutil.copytree(tmp_path / "job", tmp_path / name)
        (tmp_path / name / name).write_bytes(content)
        code, _, err = in_process(["merge", str(tmp_path / name), "--out", str(tmp_path / "all.csv")])
        assert code == 2, err
        assert "\n  hint: " in err
    for name in ("metrics.json", "plan.json", "log.jsonl", "skipped.csv"):
        run = str(tmp_path / f"run {name}")
        shutil.copytree(model, run)
        (tmp_path / f"run {name}" / name).write_bytes(content)
        for words in (["report", run], ["compare", str(model), run])[: 2 if name == "metrics.json" else 1]:
            code, _, err = in_process(words)
            assert code == 0 or (code == 2 and "\n  hint: " in err), (words, err)


@pytest.mark.parametrize("flag", ["--resume", "--overwrite"])
def test_a_run_that_nobody_names_is_neither_gone_on_with_nor_replaced(flag: str, leaves: Path) -> None:
    found = run("fit", leaves, "--model", "test_resnet", "--weights", "none", "--strategy", "probe", flag)
    assert found.returncode == 2
    assert f"{flag} is of a run in a folder, and none is named" in found.stderr
    assert "--out DIR" in found.stderr


def test_a_share_of_several_is_done_though_a_picture_of_it_cannot_be_read(
    model: Path, leaves: Path, tmp_path: Path
) -> None:
    """A launcher would stop the others, Kubernetes would try it again: `merge` says it at the end."""
    (tmp_path / "in").mkdir()
    for number, path in enumerate(sorted((leaves / "test" / "red leaf").glob("*.png"))[:4]):
        shutil.copy(path, tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    for share in ("0/2", "1/2"):
        done = run("predict", model, tmp_path / "in", "--out", tmp_path / "answers", "--shard", share)
        assert done.returncode == 0, done.stderr
    assert run("merge", tmp_path / "answers", "--out", tmp_path / "all.csv").returncode == 1
    assert run("predict", model, tmp_path / "in", "--out", tmp_path / "one").returncode == 1


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Cannot allocate memory (os error 12)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: 9 GB"),
        RuntimeError("Exception from src/inference/src/cpp/core.cpp:109: std::bad_alloc"),
    ],
)
def test_too_little_memory_is_said_and_no_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def act() -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["frostline", "strategies"])
    monkeypatch.setattr(cli.language, "translated", lambda *_: lambda *_, **__: act())
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: there is not enough memory\n  at frostline strategies\n  hint: ")
