"""The command line in Chinese: every sentence that it may say is in the table, and what it says is Chinese."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer import rich_utils

import frostline
from frostline import errors
from frostline.cli import app, language
from frostline.cli.screen import Screen
from frostline.errors import DataError
from frostline.events import Judged, PhaseStart, Warn
from frostline.judge.pages.translations import speaking
from tests.docs.pages import in_process

SOURCE = Path(frostline.__file__).parent
SAYS = {"Note", "Warn", "say", "aside", "tell", "line", "sentence", "_line"}
ENGLISH = re.compile(r"[a-z]{2,},? [a-z]{2,},? [a-z]{2,}")
SAMPLES = (
    *(
        "7",
        "0.7",
        "ants",
        "",
        "7 pictures",
        "7 pictures were left out",
        "7 classes have",
        "private",
        "7-fold cross-validation",
    ),
    *("fewer than 7 pictures were held out", "no better than always answering 'ants', which is right for 7%"),
)
"""What may stand in the places of a sentence; one of them makes a sentence of each."""


def templates() -> Iterator[ast.expr]:
    """Every text that is written down where it is said, outside pages."""
    for file in sorted(SOURCE.rglob("*.py")):
        if "judge" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                text = next((a for a in node.args if isinstance(a, (ast.Constant, ast.JoinedStr))), None)
                if name == "at":  # a piece of work, which a bar names
                    text = next((k.value for k in node.keywords if k.arg == "what"), None)
                if name in (*SAYS, "at") and isinstance(text, (ast.Constant, ast.JoinedStr)):
                    yield text


def written(text: ast.expr, sample: str) -> str:
    """The text with something in its places."""
    if isinstance(text, ast.Constant):
        return str(text.value)
    assert isinstance(text, ast.JoinedStr)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else sample for part in text.values)


def own(text: str) -> str:
    """Our own words of a text: without commands, papers and what a store's shelf is called."""
    return re.sub(
        r"`.*?`|（.*?et al.*?）|\(.*?et al.*?\)|openvino fp32, prefix.*|frostline \w+ .*|package [\w-]+", "", text
    )


def test_whatever_is_said_where_it_is_written_down_is_in_the_table() -> None:
    say = speaking("zh")
    missing, seen = [], 0
    for text in templates():
        forms = [[line for line in written(text, sample).split("\n") if line] for sample in SAMPLES]
        for lines in zip(*forms, strict=True):
            seen += 1
            if re.search(r"[a-z]{3}", written(text, "")) and not any(re.search("[一-鿿]", say(line)) for line in lines):
                missing.append(lines[0])
    assert seen > 80
    kept = ("curl", "docs, /info", "$ ", "yellow")  # commands as they are, and a colour
    assert [line for line in missing if not any(word in line for word in kept)] == []


ERRORS = {name for name, thing in vars(errors).items() if isinstance(thing, type)} | {"Refused"}
FITTING = ("without 7", "unless 7 is 7", "7 classes have", "7-fold cross-validation", "7 or 8", "s", "classes", "band")
ONLY_FROM_PYTHON: dict[str, int] = {
    "classifier.py": 11,
    "data/labels.py": 5,
    "data/pairs.py": 2,
    "data/pictures/picture.py": 2,
    "data/pictures/to_picture.py": 7,
    "data/torch_datasets.py": 9,
    "data/views.py": 3,
    "features/fill.py": 1,
    "features/store.py": 2,
    "judge/calibrate.py": 8,
    "judge/conformal.py": 6,
    "judge/explain.py": 2,
    "judge/metrics.py": 11,
    "judge/ood.py": 1,
    "net/adapters.py": 3,
    "net/cuts.py": 7,
    "net/freeze.py": 1,
    "net/stages.py": 1,
    "net/trace.py": 1,
    "net/zoo.py": 2,
    "scale/batches.py": 1,
    "ship/given_options.py": 2,
    "train/solve.py": 2,
    "train/strategies.py": 1,
    "workflows/notebook.py": 11,
}
"""Texts by module that are not in the table: who calls it from Python sees them, in English, as all its names are."""


def literals(node: ast.expr, assigned: dict[str, list[ast.expr]]) -> Iterator[ast.expr]:
    """The texts that an argument may be."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        yield node
    elif isinstance(node, ast.Name):
        for value in assigned.pop(node.id, []):
            yield from literals(value, assigned)
    elif isinstance(node, ast.IfExp | ast.BoolOp):
        for value in node.values if isinstance(node, ast.BoolOp) else (node.body, node.orelse):
            yield from literals(value, assigned)


def assigned_in(tree: ast.AST) -> dict[str, list[ast.expr]]:
    """What names of a function stand for."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.NamedExpr):
            for target in targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
    return found


def refusals(tree: ast.AST) -> Iterator[ast.expr]:
    """What notes, warnings and errors of a module say: what was wrong, and what to do."""
    inner = {id(node): function for function in ast.walk(tree) if isinstance(function, ast.FunctionDef)
             for node in ast.walk(function)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in ERRORS | {"Note", "Warn"}:
                texts = [*node.args[:1], *(word.value for word in node.keywords if word.arg in ("what", "hint"))]
                for text in texts:
                    yield from literals(text, assigned_in(inner.get(id(node), ast.Module([], []))))


def test_what_a_command_notes_warns_of_and_refuses_is_in_the_table() -> None:
    say = speaking("zh")
    missing: dict[str, set[str]] = {}
    seen = 0
    for file in sorted(SOURCE.rglob("*.py")):
        for text in refusals(ast.parse(file.read_text(encoding="utf-8"))):
            seen += 1
            forms = [written(text, sample) for sample in (*SAMPLES, *FITTING)]
            if re.search("[a-z]{3}", written(text, "")) and not any(re.search("[一-鿿]", say(form)) for form in forms):
                missing.setdefault(file.relative_to(SOURCE).as_posix(), set()).add(forms[0])
    assert seen > 900
    assert {name: len(texts) for name, texts in missing.items()} == ONLY_FROM_PYTHON, missing


def test_names_that_are_near_are_joined_in_chinese() -> None:
    say = speaking("zh")
    assert say("did you mean resnet18 or resnet18d or skresnet18?") == "是不是 resnet18、resnet18d 或 skresnet18？"
    assert say("there is no engine called 'x'") == "没有名为 'x' 的推理引擎"
    weights = "--weights FILE, or --weights none to train from nothing; on this machine: a (package b), c (package d)"
    assert say(f"{weights}; HF_ENDPOINT names a mirror of the hub").endswith("；HF_ENDPOINT 可指定 hub 的镜像站")
    assert "本机已有：a (package b), c (package d)" in say(f"pip install e, or {weights}")
    read = "pictures from `image` + `.jpg` in images/, labels from `labels`, no split"
    assert say(read) == "图片来自 images/ 中的 `image` + `.jpg`，标签来自`labels`，没有划分"
    assert say("not used: column `when`, column `who`") == "未使用：列 `when`、`who`"


def test_every_help_text_is_in_the_table() -> None:
    say = speaking("zh")
    texts: set[str] = set()

    def walk(command: Any) -> None:
        texts.update(option.help.replace("\\[", "[") for option in command.params if getattr(option, "help", None))
        texts.update(filter(None, (getattr(option, "rich_help_panel", None) for option in command.params)))
        paragraphs = (command.help or "").split("\n\n")
        texts.update(" ".join(text.split()) for text in paragraphs if "[dim]" not in text)
        for below in getattr(command, "commands", {}).values():
            walk(below)

    walk(typer.main.get_command(app))
    assert len(texts) > 150
    assert sorted(text for text in texts if say(text) == text or ENGLISH.search(own(say(text)))) == []


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    """Typer's own words and the language are put back in the end."""
    for name in ("ARGUMENTS_PANEL_TITLE", "OPTIONS_PANEL_TITLE", "COMMANDS_PANEL_TITLE", "ERRORS_PANEL_TITLE"):
        monkeypatch.setattr(rich_utils, name, getattr(rich_utils, name))
    for name in ("DEFAULT_STRING", "REQUIRED_LONG_STRING", "RICH_HELP", "highlighter"):
        monkeypatch.setattr(rich_utils, name, getattr(rich_utils, name))
    monkeypatch.setattr(language, "current", "zh")


@pytest.mark.usefixtures("chinese")
def test_what_the_commands_say_is_chinese_to_the_last_line(
    leaves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # `store ls` lists what other tests have kept, too
    runs = [str(tmp_path / seed) for seed in "01"]
    typed = [["fit", str(leaves), "--strategy", "probe", "--seed", Path(run).name, "--out", run] for run in runs]
    picture = str(leaves / "test" / "green leaf" / "0.png")
    typed += [
        ["evaluate", runs[0], str(leaves), "--split", "test"],
        ["compare", *runs],
        ["predict", runs[0], picture],
        ["check", str(leaves), "--no-features", "--out", str(tmp_path / "check.html")],
        ["models"],
        ["strategies"],
        ["store", "ls"],
    ]
    for words in typed:
        code, out, err = in_process(["--lang", "zh", *words])
        assert code == 0, err
        for line in (out + err).splitlines():
            said = line
            for given in (str(tmp_path), str(leaves), "green leaf", "red leaf"):
                said = said.replace(given, "")
            assert not ENGLISH.search(own(said)), (words[0], line)
    code, out, _ = in_process(["--lang", "zh", "fit", "--help"])
    assert code == 0
    assert not re.search("[^…]… *│", out)  # nothing is cut: Chinese has no spaces to break a line at
    assert "必填" in out


@pytest.mark.usefixtures("chinese")
def test_epochs_and_phases_are_shown_in_chinese(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen() as screen:
        screen(PhaseStart("head", "blocks.4", 3))
        screen(Judged(0, 3, 0.9, 0.31, 0.42, 0.001, 812.0))
        screen(Warn("the loss is not finite; the best epoch so far is kept"))
    err = capsys.readouterr().err
    assert "冻结线在 blocks.4 之下" in err
    assert "验证 90.0%（损失 0.310）" in err
    assert "警告：the loss is not finite；保留目前最好的一轮" in err


@pytest.mark.usefixtures("chinese")
def test_the_parts_of_an_error_are_named_in_chinese() -> None:
    said = language.message(DataError("there is no such file or folder", where="/x", hint="check the spelling"))
    assert [line.split("：")[0].strip() for line in said.splitlines()] == ["错误", "位置", "提示"]


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize(
    "words",
    [
        ["fit", "nowhere"],
        ["check", "nowhere"],
        ["predict", "nowhere", "x.png"],
        ["predict", "nowhere", "x.png", "--json", "--csv"],
        ["models", "no such model"],
        ["compare", "one"],
        ["report", "nowhere"],
        ["merge", "nowhere"],
        ["check", "nowhere", "--on", "ray", "--no-features"],
    ],
)
def test_what_is_refused_every_day_is_refused_in_chinese(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = in_process(["--lang", "zh", *words])
    assert code == 2
    what, *_, hint = [line for line in err.splitlines() if line.lstrip().startswith(("错误", "提示"))]
    for line in (what, hint):
        assert re.search("[一-鿿]", line.partition("：")[2]), line


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fit", "--bogus", "x"], "没有这个选项：--bogus"),
        (["fit"], "缺少参数 'data'。"),
        (["fit", "x", "--epochs", "many"], "'--epochs' 的值不对：应当是整数"),
        (["predict", "x", "y", "--coverage", "much"], "'--coverage' 的值不对：应当是数"),
        (["predict", "x", "y", "--coverage"], "选项 '--coverage' 后面要有一个值。"),
        (["predict", "x", "y", "--top", "0"], "'--top' 的值不对：应当不小于 1"),
        (["fit", "x", "--json=yes"], "选项 '--json' 后面不能有值。"),
        (["models", "a", "b"], "多出了参数：b"),
        (["fitt"], "没有这个命令：'fitt'。是不是 'fit'？"),
        (["store", "clea"], "没有这个命令：'clea'。是不是 'clear'？"),
    ],
)
def test_what_was_mistyped_is_said_in_chinese(words: list[str], said: str) -> None:
    code, _, err = in_process(["--lang", "zh", *words])
    assert code == 2
    assert said in err
    assert not re.search(r"Usage:|Try |Error|such|Missing|Invalid", err)


@pytest.mark.usefixtures("chinese")
def test_the_short_form_of_help_is_known_in_chinese_too() -> None:
    """`frostline --lang zh fit -h` was refused: its help was made outside the context that names -h."""
    assert [in_process(["--lang", "zh", *words, "-h"])[0] for words in ([], ["report"], ["store", "ls"])] == [0, 0, 0]
