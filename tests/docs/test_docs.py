"""Every command and every piece of Python that the documentation shows does what the page says."""

import io
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import pytest
import timm
import torch
from docs.make_tables import PAGE, filled
from PIL import Image

from frostline.options import same
from frostline.train.defaults import GIVEN, TABLE
from tests.docs.pages import EPOCHS, ROOT, Reader, blocks, commands, forget_announced

PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if "zh-CN" not in p.name)]
IN_CHINESE = [ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").rglob("*.zh-CN.md"))]
NAMED = {
    ("val", "bees"): "1032546534_06907fe3b3.jpg",
    ("val", "ants"): "10308379_1b6c72e180.jpg",
    ("train", "ants"): "0013035.jpg",
}
EACH = {"train": 6, "val": 4}


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def pictures(folder: Path, count: int, hue: tuple[int, int, int], rng: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        noise = rng.normal(0, 30, (9, 12, 3)).repeat(20, 0).repeat(20, 1)
        Image.fromarray(np.clip(hue + noise, 0, 255).astype(np.uint8)).save(folder / f"{number}.jpg")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages suppose a reader to have: the lesson's data (drawn, few and small) and its checkpoint."""
    top, rng = tmp_path_factory.mktemp("shelf"), np.random.default_rng(3)
    hues = {"ants": (150, 70, 60), "bees": (70, 150, 60)}
    for name, hue in hues.items():
        for split, count in EACH.items():
            pictures(top / "hymenoptera_data" / split / name, count, hue, rng)
        pictures(top / "photos" / name, 10, hue, rng)
        pictures(top / "messy" / "train" / name, 6, hue, rng)
        pictures(top / "messy" / "val" / name, 4, hue, rng)
    for (split, name), file in NAMED.items():
        folder = top / "hymenoptera_data" / split / name
        (folder / "1.jpg").rename(folder / file)
    messy = top / "messy" / "train"
    (messy / "notes.txt").write_text("not a picture")
    (messy / "bees" / "empty.jpg").touch()
    (messy / "ants" / "cut.jpg").write_bytes((messy / "ants" / "0.jpg").read_bytes()[:200])
    torch.manual_seed(0)
    torch.save(timm.create_model("resnet18").state_dict(), top / "resnet18-5c106cde.pth")
    return top


def in_shards(shelf: Path, rows: list[tuple[Path, str, str]], folder: Path) -> None:
    """The rows as WebDataset, two shards for each split."""
    folder.mkdir()
    for split in ("train", "val"):
        own = [(path, label) for path, label, of in rows if of == split]
        for number in range(2):
            with tarfile.open(folder / f"{split}-{number:03d}.tar", "w") as shard:
                for path, label in own[number::2]:
                    key = f"{label}_{path.stem}"
                    for name, content in ((f"{key}.jpg", (shelf / path).read_bytes()), (f"{key}.cls", label.encode())):
                        member = tarfile.TarInfo(name)
                        member.size = len(content)
                        shard.addfile(member, io.BytesIO(content))


def saved(shelf: Path, rows: list[tuple[Path, str, str]], folder: Path) -> None:
    """The rows as a data set of Hugging Face on disk."""
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["ants", "bees"])})
    content = [{"bytes": (shelf / path).read_bytes(), "path": None} for path, _, _ in rows]
    columns = {"image": content, "label": [label for _, label, _ in rows]}
    datasets.Dataset.from_dict(columns, features=kinds).save_to_disk(folder)


@pytest.fixture
def here(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A reader's folder, in which everything the pages name lies; modules written there can be imported."""
    for thing in shelf.iterdir():
        (tmp_path / thing.name).symlink_to(thing)
    data = shelf / "hymenoptera_data"
    rows = [(p.relative_to(shelf), p.parent.name, p.parts[-3]) for p in sorted(data.rglob("*.jpg"))]
    lines = [f"{path},{label},{split},nest {n % 8 + 1}" for n, (path, label, split) in enumerate(rows)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,split,group", *lines]) + "\n")
    both = [f"{path},{label}|{('outdoors', 'indoors')[n % 2]}" for n, (path, label, _) in enumerate(rows)]
    (tmp_path / "both.csv").write_text("\n".join(["path,label", *both]) + "\n")
    in_shards(shelf, rows, tmp_path / "shards")
    saved(shelf, rows, tmp_path / "saved")
    places = [f"{label} {path}" for path, label, _ in rows]
    (tmp_path / "insects.list").write_text("\n".join(places) + "\n")
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for path, _, _ in rows:
            archive.write(shelf / path, path)
    for defaults in (TABLE, GIVEN["strategy", "auto"]):
        monkeypatch.setitem(defaults, "epochs", same(EPOCHS, "a test of a page"))
    monkeypatch.setitem(TABLE, "head_crops", same(0, "a test of a page"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    known = set(sys.modules)
    yield tmp_path
    for module in set(sys.modules) - known:
        if (tmp_path / f"{module}.py").exists():
            del sys.modules[module]
    forget_announced()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_does_what_it_says(page: Path, here: Path) -> None:
    able = [block for block in blocks(page) if block.kind in ("python", "console", "toml") and not block.not_run]
    assert Reader(here).reads(page) == len(able)


@pytest.mark.parametrize("page", IN_CHINESE, ids=named)
def test_a_chinese_page_shows_the_code_of_the_english_one(page: Path) -> None:
    english = page.with_name(page.name.replace(".zh-CN", ""))
    assert [(b.kind, b.text) for b in blocks(page)] == [(b.kind, b.text) for b in blocks(english)]


def test_the_tables_are_those_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page) == page, "run: python docs/make_tables.py"


@pytest.mark.parametrize("page", [*PAGES, *IN_CHINESE], ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    targets = re.findall(r"\]\((?!https?:)([^)#\s]+)", text)
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_command_is_in_the_documentation() -> None:
    from typer.main import get_command

    from frostline.cli import app

    shown = {
        word
        for page in PAGES
        for block in blocks(page)
        if block.kind == "console"
        for command, _ in commands(block)
        for word in command.split()
    }
    assert set(get_command(app).commands) - shown == set()  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "README.zh-CN.md"], ids=named)
def test_the_readme_says_of_the_probe_what_the_measured_table_says(page: Path) -> None:
    table = (ROOT / "bench" / "ACCURACY.md").read_text(encoding="utf-8").split("## Beside scikit-learn")[1]
    row = re.search(r"\| probe \| (\d+) \| \+([\d.]+) \| (\d+): .*? \| (\d+) \|", table)
    assert row is not None
    said = page.read_text(encoding="utf-8").split("LogisticRegression")[1].split("ACCURACY.md")[0]
    figures = re.findall(r"\d+(?:\.\d+)?", said)
    assert sorted([*row.groups(), "3"]) == sorted(figures)  # 3-fold
    ranked = (
        (ROOT / "bench" / "ACCURACY.md")
        .read_text(encoding="utf-8")
        .split("Of scikit-learn, probe, head2toe, auto, fastai;")[1]
    )
    rows = dict(
        re.findall(r"^\| (\S+) \| [^%\n]*\] \| ([\d.]+) %", ranked.split("## ")[0].split("\nOf ")[0], re.MULTILINE)
    )
    said = page.read_text(encoding="utf-8").split("ACCURACY.md)")[-1].split("`--image-size auto`")[0]
    figures = re.findall(r"([\d.]+) %", said)
    assert figures == [rows[name] for name in ("auto", "probe", "scikit-learn", "fastai")]
