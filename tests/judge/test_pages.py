"""The table of words: what a check puts together is Chinese on the Chinese page, to the last sentence."""

import re
import shutil
import string
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from frostline.judge.audit.findings import checks
from frostline.judge.audit.run_checks import Audit, audited
from frostline.judge.pages.translations import chinese, speaking
from frostline.workflows.check import check_files

ENGLISH = re.compile(r"\b[a-z]{2,} [a-z]{2,} [a-z]{2,}")


def test_a_finished_sentence_is_found_by_its_pattern_in_one_and_in_many() -> None:
    say = speaking("zh")
    assert say("1 picture is blurry") == "1 张图片模糊"
    assert say("1,204 pictures are blurry") == "1,204 张图片模糊"
    assert say("1 class with fewer than 10 training pictures: 'a' (2)") == "1 个类别的训练图片少于 10 张：'a' (2)"
    assert say("exact copies, labelled ants and bees") == "完全相同的副本，标签为 ants 和 bees"
    assert say("labelled a, looks like b (97%); its file name is that of b") == (
        "标签为 a，看起来像 b（97%）；它的文件名与 b 一致"
    )
    assert say("3.0 times as far from its neighbours as is usual") == "与邻近图片的距离是通常的 3.0 倍"
    assert say("2 pictures are lost in the background") == "2 张图片与背景融为一体"
    assert "--background" in say("nothing is seen over this --background; another one shows it")
    assert say("nobody has ever said this") == "nobody has ever said this"


def test_a_translation_has_the_places_of_its_sentence() -> None:
    for english, translated in chinese().items():
        fields = [sorted({f for _, f, _, _ in string.Formatter().parse(t) if f}) for t in (english, translated)]
        assert fields[0] == fields[1], english


def faults(tmp_path: Path) -> Audit:
    """A data set with nearly every fault that is looked for."""
    top, rng = tmp_path / "data", np.random.default_rng(1)

    def picture(name: str, low: int = 0, high: int = 256, size: tuple[int, int] = (120, 90)) -> Path:
        place = top / name
        place.parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(low, high, (size[1] // 3, size[0] // 3, 3), dtype=np.uint8).repeat(3, 0).repeat(3, 1)
        Image.fromarray(coarse).save(place)
        return place

    for split, count in (("train", 24), ("val", 6)):
        for name, size in (("ants", (120, 90)), ("bees", (240, 90)), ("Bees", (90, 300))):
            for number in range(count):
                picture(f"{split}/{name}/{name}{number}.png", size=size)
    picture("train/wasps/one.png")
    one = top / "train/ants/ants0.png"
    shutil.copy(one, top / "val/ants/leak.png")
    shutil.copy(top / "train/ants/ants1.png", top / "train/bees/conflict.png")
    shutil.copy(top / "train/ants/ants2.png", top / "train/ants/twice.png")
    Image.open(top / "train/ants/ants3.png").save(top / "train/ants/again.jpg", quality=80)
    Image.open(top / "train/ants/ants4.png").save(top / "train/bees/other.jpg", quality=80)
    Image.open(top / "train/ants/ants5.png").save(top / "val/ants/near.jpg", quality=80)
    picture("train/ants/dark.png", 0, 40)
    picture("train/ants/bright.png", 210, 256)
    Image.new("RGB", (120, 90), (90, 90, 90)).save(top / "train/ants/blank.png")
    smooth = Image.open(one).filter(ImageFilter.GaussianBlur(9))
    smooth.save(top / "train/ants/blur.png")
    drawn = Image.new("RGB", (120, 90), (240, 240, 240))
    drawn.paste((10, 10, 10), (50, 40, 70, 60))
    drawn.save(top / "train/ants/placeholder.png")
    Image.open(one).convert("CMYK").save(top / "train/ants/cmyk.jpg")
    Image.open(one).save(top / "train/ants/png.jpg", "PNG")
    frames = [Image.fromarray(rng.integers(0, 256, (90, 120), dtype=np.uint8)) for _ in range(2)]
    frames[0].save(top / "train/ants/two.gif", save_all=True, append_images=frames[1:])
    picture("train/ants/tiny.png", size=(30, 24))
    picture("train/ants/long.png", size=(900, 90))
    (top / "train/ants/empty.png").touch()
    (top / "train/ants/cut.png").write_bytes(one.read_bytes()[:300])
    (top / "train/ants/text.jpg").write_text("not a picture")
    (top / "train/notes.txt").write_text("x")
    found = check_files(top, cache=tmp_path / "cache")
    listing = found.subject.listing
    probabilities = rng.dirichlet(np.full(len(listing.classes), 0.2), len(listing)).astype(np.float32)
    features = rng.normal(size=(len(listing), 6)).astype(np.float32)
    features[5] += 40
    return audited(
        replace(found.subject, probabilities=probabilities, features=features), not_checked=found.not_checked
    )


@pytest.mark.filterwarnings("ignore:May not flag")  # cleanlab, of a class with one picture
def test_what_a_check_finds_is_said_in_chinese_to_the_last_sentence(tmp_path: Path) -> None:
    found = faults(tmp_path)
    others = {"unlabelled", "balance", "blurry", "outliers", "transparent"}
    missing = others | {finding.check for finding in found.findings}
    assert set(checks.names()) - missing == set()
    say = speaking("zh")
    sentences = [text for f in found.findings for text in (f.summary, *(item.text for item in f.items))]
    left = {say(text) for text in (*sentences, *found.not_checked) if ENGLISH.search(say(text)) or say(text) == text}
    assert {text for text in left if re.search("[a-z]{3}", text) and not re.fullmatch(r".*'.*", text)} == set()
