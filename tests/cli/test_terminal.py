"""The terminal: help that can be read, completion, widths, quiet runs, and the demo's last lines."""

import io
import itertools
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer.main
from rich.cells import cell_len

from frostline.cli import app, comparison_table, complete, console, language, models, predict, wrap
from frostline.cli.demo import examples
from frostline.cli.screen import Screen
from frostline.events import Note, PhaseStart, Step, Warn, Work
from frostline.features.kept import KINDS
from frostline.judge import metrics
from frostline.judge.intervals import Interval
from frostline.judge.predictions import Outcome
from frostline.run.check_options import REFITS
from frostline.ship.export import forms
from frostline.train.plan import AUGMENTATIONS, FROZEN_NORMS, SCHEDULES
from frostline.train.strategies import strategies
from frostline.workflows.compare import Comparison, Entry
from tests.docs.pages import in_process

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def helps_with(pattern: str) -> list[str]:
    """The options of all commands in whose help a pattern is found."""
    return [
        f"{name} --{option.name}: {option.help}"
        for name, command in COMMANDS.items()
        for option in command.params
        if re.search(pattern, getattr(option, "help", None) or "")
    ]


def test_no_help_is_eaten_by_markup() -> None:
    assert helps_with(r"(?<!\\)\[(?!/?dim\])[a-z#/@]") == []
    for name in COMMANDS:
        code, out, _ = in_process([name, "--help"])
        assert code == 0
        assert not re.search(r"\w \.(\s|$)", out), name


def test_completion_offers_what_the_registries_hold() -> None:
    assert sorted(complete.STRATEGIES) == sorted(strategies.names())
    assert sorted(complete.FORMS) == sorted(forms.names())
    assert complete.KEPT == KINDS
    known = {"frozen_norm": FROZEN_NORMS, "refit": REFITS, "schedule": SCHEDULES, "augment": AUGMENTATIONS}
    assert {name: complete.KNOWN[name] for name in known} == known
    completed = {
        "fit": ("frozen_norm", "refit", "precision"),
        "evaluate": ("lang", "engine", "precision", "tta"),
        "predict": ("engine", "precision", "tta"),
        "serve": ("engine", "precision", "tta"),
        "embed": ("model", "engine", "precision"),
    }
    for command, options in completed.items():
        custom = {option.name for option in COMMANDS[command].params if option._custom_shell_complete}
        assert not set(options) - custom, command
    offered = complete.offered("strategy")
    assert offered is not None
    assert offered("l") == ["layerwise", "lp-ft", "lora"]
    assert "resnet18" in complete.models("resnet1")
    assert complete.offered("epochs") is None
    code = "import sys, frostline.cli.complete as c; c.offered('strategy')('l'); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_every_help_says_of_what_it_speaks() -> None:
    assert helps_with(r"\A(?:Of |Where[; ]|Seconds for a head|auto,|en or zh|\d)") == []
    limits = [option.help for option in COMMANDS["serve"].params if option.name.startswith(("max_", "request_"))]
    assert len(set(limits)) == len(limits) == 4


def test_models_says_where_to_begin_and_a_pattern_lists_all() -> None:
    _, out, err = in_process(["models"])
    assert len(out.splitlines()) < 20
    assert "tf_efficientnet_lite0" in out
    assert "PATTERN" in err
    _, out, _ = in_process(["models", "resnet18"])
    assert "resnet18" in out.split()
    known = complete.models("")
    assert {name for name, _ in models.RECOMMENDED} <= set(known)


def entry(name: str, low: float, high: float) -> Entry:
    accuracy = Interval((low + high) / 2, low, high, 100)
    return Entry(name, Path(name), "tf_efficientnet_lite0", "discriminative", accuracy, {"log_loss": 0.2}, 61.0)


@pytest.mark.parametrize("width", [80, 110, 200])
def test_every_interval_of_a_comparison_is_drawn_whole(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    monkeypatch.setattr(comparison_table, "new", lambda: Console(highlight=False, width=width))
    long = "runs of a name that is much longer than any terminal of eighty characters has room for"
    comparison_table.show(Comparison("val", 100, (entry("probe", 0.9, 0.98), entry(long, 0.6, 0.95)), (), 100))
    out = capsys.readouterr().out
    assert all(len(line) <= width for line in out.splitlines() if "p:" not in line)
    drawn = [line[line.index("├") : line.index("┤") + 1] for line in out.splitlines() if "├" in line]
    assert len(drawn) == 2
    assert all("●" in line and "…" not in line for line in drawn)
    spans = [len(line) for line in drawn]
    assert spans[1] / spans[0] == pytest.approx(0.35 / 0.08, rel=0.45)  # as wide as they are, to a character
    assert "60.0%" in out
    assert "98.0%" in out


def test_a_comparison_is_drawn_in_letters_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    written = io.TextIOWrapper(io.BytesIO(), "ascii", errors="backslashreplace")
    monkeypatch.setattr(comparison_table, "new", lambda: Console(file=written, width=110))
    comparison_table.show(Comparison("val", 100, (entry("probe", 0.9, 0.98), entry("full", 0.6, 0.95)), (), 100))
    written.seek(0)
    text = written.read()
    assert len(re.findall(r"\|-+o-+\|", text)) == 2
    assert "\\u" not in text


def test_a_quiet_screen_keeps_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen(quiet=True) as screen:
        screen(Note("a note"))
        screen(Work("pictures", 1, 2))
        screen(Warn("two pictures are the same"))
    err = capsys.readouterr().err
    assert "two pictures are the same" in err
    assert "a note" not in err


def test_a_note_is_said_once_and_work_that_comes_again_has_its_bar_and_rate_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    clock = iter(range(0, 1000, 100))
    monkeypatch.setattr("frostline.cli.screen.time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    with Screen() as screen:
        for _ in range(2):
            screen(Note("the head is fitted"))
            screen(Work("pictures", 0, 900))
            screen(Work("pictures", 500, 900))
            (bar,) = (task for task in screen._bars.tasks if task.visible)
            assert (bar.completed, bar.fields["rate"]) == (500, "5/s")  # in 100 s, not since the first time
            screen(Work("pictures", 900, 900))
            assert not [task for task in screen._bars.tasks if task.visible]
    assert capsys.readouterr().err.count("the head is fitted") == 1


def test_answers_that_go_into_a_file_are_counted_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with (tmp_path / "named.csv").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        for answer in predict._watched(iter(["ants", "bees"])):  # type: ignore[arg-type]
            print(answer)
    assert (tmp_path / "named.csv").read_text() == "ants\nbees\n"
    err = capsys.readouterr().err
    assert "pictures" in err
    assert "bees" not in err


def test_batches_have_a_total_as_soon_as_one_epoch_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    seen: list[tuple[int, int]] = []
    with Screen(quiet=True) as screen:
        monkeypatch.setattr(screen, "_work", lambda what, done, total: seen.append((done, total)))
        screen(PhaseStart("all", "head", 3))
        for step in range(12):
            screen(Step(step // 4, step + 1, torch.tensor(0.0), (0.1,), 8))
    assert seen[3] == (4, 0)
    assert seen[4:] == [(step + 1, 12) for step in range(4, 12)]


@pytest.mark.parametrize("strategy", ["probe", "freeze"])
def test_a_device_that_is_not_there_is_refused_by_every_strategy(strategy: str, leaves: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    code, _, err = in_process(["fit", str(leaves), "--strategy", strategy, "--device", "cuda"])
    assert code == 2
    assert "no device 'cuda' here" in err


def test_the_demo_takes_its_pictures_from_those_that_were_judged_one_mistake_among_them() -> None:
    rows = [Outcome(f"{k}", f"/{k}", str(k), "val", "ab"[k % 2], "a", 0.9, k % 2 == 0 or k < 30) for k in range(40)]
    chosen = examples(rows)
    assert [row.right for row in chosen] == [True] * 5 + [False]
    assert [row.label for row in chosen[:4]] == ["a", "b", "a", "b"]
    assert len(examples(rows[:20])) == 6


def test_the_command_that_the_demo_prints_can_be_typed(leaves: Path, tmp_path: Path) -> None:
    data = tmp_path / "my leaves"
    data.symlink_to(leaves)
    out = str(tmp_path / "a run")
    code, shown, err = in_process(["demo", "--data", str(data), "--out", out])
    assert code == 0, err
    (typed,) = re.findall(r"^\$ (.*)$", err, re.M)
    code, answered, _ = in_process(shlex.split(typed)[1:])
    assert code == 0
    rows = [line for line in shown.splitlines() if re.search("% +(right|WRONG)", line)]
    assert len(answered.splitlines()) == len(rows) == 6
    assert "/test/" in typed
    for word in ("report.html", "frostline serve", "frostline check"):
        assert word in err


def test_the_command_line_is_chinese_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert language.chosen(["--lang", "zh", "fit", "x"], {}) == ("zh", ["fit", "x"])
    assert language.chosen(["fit", "--lang", "zh"], {"LANG": "de_DE.UTF-8"}) == ("zh", ["fit", "--lang", "zh"])
    assert language.chosen(["predict", "m", "--lang=zh", "x"], {}) == ("zh", ["predict", "m", "x"])
    assert language.chosen(["predict", "m", "--", "--lang", "zh"], {}) == ("en", ["predict", "m", "--", "--lang", "zh"])
    assert language.chosen(["predict", "m", "--lang"], {}) == ("en", ["predict", "m", "--lang"])
    assert language.chosen(["fit"], {"LC_ALL": "zh_CN.UTF-8"})[0] == "zh"
    assert language.chosen(["fit"], {"FROSTLINE_LANG": "en", "LANG": "zh_CN.UTF-8"})[0] == "en"
    _, out, _ = in_process(["--lang", "zh", "fit", "--help"])
    assert "用带标签的图片训练分类器" in out
    assert "随机种子" in out
    assert "frostline fit hymenoptera_data" in out
    code, _, err = in_process(["--lang", "tlh", "fit", "--help"])
    assert code == 2
    assert "choose en or zh" in err
    monkeypatch.setattr(language, "current", "en")  # put back in the end, whatever main leaves there
    code, _, err = in_process(["--lang", "zh", "--lang", "tlh", "fit", "x"])  # the second was passed over
    assert code == 2
    assert "--lang 给了 2 次" in err
    monkeypatch.setattr(language, "current", "zh")
    assert language.sentence("reading /data") == "正在读取 /data"


def test_nearly_every_option_of_a_fit_has_chinese_help() -> None:
    from frostline.judge.pages.translations import chinese
    from frostline.options import OPTIONS

    missing = [option.name for option in OPTIONS.values() if option.help not in chinese()]
    assert len(missing) < 0.1 * len(OPTIONS), f"zh.json lacks the help of {missing}"


@pytest.mark.parametrize(("classes", "said"), [("abc", "over the 2 of 3 classes that have pictures here"), ("ab", "")])
def test_macro_f1_says_how_many_classes_it_is_a_mean_of(capsys, classes, said):
    p = np.full((4, len(classes)), 0.1 / (len(classes) - 1))
    p[np.arange(4), [0, 0, 1, len(classes) - 1]] = 0.9
    console.report(metrics.report(p, np.array([0, 0, 1, 1]), classes, resamples=20), title="judged")
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("macro F1"))
    assert line.partition("), ")[2] == said


ENGLISH = (
    "pictures from folders, split from test/, train/, val/; 84 pictures (42 train, 21 val, 21 test) and a /long/path"
)
CHINESE = "95% 预测集覆盖 21 张图片中的 100.0%（84.5 至 100.0），最低的类别 Norway maple（Acer）：平均每组 1.38 个。"


@pytest.mark.parametrize("width", [20, 40, 80])
def test_lines_end_between_words_and_chinese_ones_between_characters(width: int) -> None:
    assert wrap.wrapped(ENGLISH, width) == textwrap.fill(ENGLISH, width, break_long_words=False, break_on_hyphens=False)
    lines = wrap.wrapped(CHINESE, width).split("\n")
    assert "".join(lines).replace(" ", "") == CHINESE.replace(" ", "")
    assert all(cell_len(line) <= width for line in lines)
    assert not [line for line in lines if line[0] in "，。；：、）"]
    words = set(re.findall(r"[A-Za-z]+|[0-9.]+%?", CHINESE))
    assert words == {word for line in lines for word in re.findall(r"[A-Za-z]+|[0-9.]+%?", line)}  # none is cut
    assert wrap.wrapped(f"next: frostline predict {'x' * 90}", width).count("\n") == 0  # a command is copied whole
    assert "p = 0.35" in wrap.wrapped(f"{'x' * (width - 4)} p = 0.35", width)
    assert wrap.for_stream(ENGLISH, io.StringIO()) == ENGLISH  # what reads a pipe gets lines as they are


@pytest.mark.parametrize("width", [80, 110, 200])
def test_no_figure_of_the_table_of_classes_is_broken(width: int, monkeypatch, capsys) -> None:
    from rich.console import Console

    monkeypatch.setattr(console, "new", lambda: Console(highlight=False, width=width))
    names = ["Norway maple (Acer platanoides)", "橡树"]
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.1, 0.9]])
    figures = metrics.report(p, np.array([0, 0, 1, 1]), names, resamples=20)
    console.report(figures, title="x")
    table = [row for row in capsys.readouterr().out.partition(" class")[2].splitlines() if row.strip()]
    assert max(map(cell_len, table)) <= width
    out = "\n".join(table)
    ends = re.findall(r"\d+\.\d% \(\d+ to \d+\)", out)
    assert len(ends) == (2 if width == 80 else 6)  # precision and recall leave theirs to the report
    assert out.count("(") - out.count("(Acer") == len(ends)


@pytest.mark.parametrize(("width", "figures"), [(40, 1), (50, 1), (60, 3)])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_narrow_table_of_classes_keeps_their_names(lang: str, width: int, figures: int, monkeypatch, capsys) -> None:
    from rich.console import Console

    monkeypatch.setattr(language, "current", lang)
    monkeypatch.setattr(console, "new", lambda: Console(highlight=False, width=width))
    names = ["Norway maple (Acer platanoides)", "橡树", "beech"]
    p = np.array([[0.9, 0.1, 0], [0.4, 0.6, 0], [0.2, 0.8, 0], [0.1, 0.9, 0], [0.1, 0.1, 0.8]])
    console.report(metrics.report(p, np.array([0, 0, 1, 1, 2]), names, resamples=20), title="x")
    head = language.sentence("class")
    table = [row for row in capsys.readouterr().out.partition(f" {head}  ")[2].splitlines() if row.strip()]
    assert max(map(cell_len, table)) <= width
    assert any("beech" in row for row in table)
    assert any("橡树" in row for row in table)
    assert "Norway maple (Acer platanoides)" in " ".join(row.split("  ")[0].strip() for row in table[2:])
    assert next(row for row in table if "beech" in row).count("%") == figures


@pytest.mark.parametrize("width", [40, 80])
def test_help_is_not_broken_where_our_source_is(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    command = typer.main.get_command(app)
    shown = language.translated(command, "en").commands["predict"]  # type: ignore[attr-defined]
    (_, paragraph) = shown.help.split("\n\n")
    _, out, _ = in_process(["predict", "--help"])
    lines = [line.strip() for line in out.partition("pictures show.")[2].partition("╭")[0].splitlines() if line.strip()]
    assert " ".join(lines) == paragraph
    assert all(len(f"{line} {after.split()[0]}") > width - 2 for line, after in itertools.pairwise(lines))
    fit = language.translated(command, "en").commands["fit"].help  # type: ignore[attr-defined]
    assert fit.count("\n[dim]frostline fit") == 2  # examples have a line each


@pytest.mark.parametrize("width", [12, 30, 60])
def test_a_cell_ends_its_lines_as_a_line_does(width: int) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(width=width)
    for text in (ENGLISH, CHINESE):
        lines = [line.plain.rstrip() for line in wrap.in_cell(Text(text)).wrap(console, width)]
        assert all(cell_len(line) <= width for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert not [line for line in lines if line[0] in "，。；：、）" or line[-1] in "（“"]
        # Nothing that follows would have fitted: a character, or a word.
        for line, after in itertools.pairwise(lines):
            first = re.match(r"[^\s一-鿿，。；：、（）]+|.", after)
            assert first is not None
            assert cell_len(line) + cell_len(first[0]) >= width - 3 or "/" in line + after


def test_a_terminal_that_cannot_go_back_gets_no_bars(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, says Rich
    for term, bars in (("dumb", False), ("xterm", True)):
        monkeypatch.setenv("TERM", term)
        with Screen() as screen:
            screen(Work("pictures", 1, 2))
        err = capsys.readouterr().err
        assert ("pictures" in err) is bars
        assert bars or err == ""


def test_the_store_is_listed_by_kinds_of_views_in_lines_that_can_be_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from frostline.features.store import Usage

    address, view = "openvino fp32, prefix 162a9006, view", '{"crop_pct":0.875,"index":%d,"size":[224,224]}'
    about = [f"{address} evaluation-1 {view % 0}", *(f"{address} training-1 {view % k}" for k in range(3))]
    about.append("of unknown origin, " + ", ".join(["which may be long"] * 4))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    console.usage([Usage("x", text, 15_298, 78_900_000, 0.0) for text in about], [], where=Path("/cache"))
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("  78.9 MB    15,298 rows  openvino fp32, prefix 162a9006, evaluation views")
    assert lines[1] == f"{' ' * 27}x 224"
    assert lines[2].startswith(" 236.7 MB    45,894 rows  openvino fp32, prefix 162a9006, training views")
    assert lines[-1].startswith(" " * 27)
