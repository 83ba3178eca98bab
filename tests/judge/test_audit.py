"""Each check finds what it is for, in data where the answer is known, and says nothing of what is as it should be."""

import csv
import io
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from frostline.data.header import header
from frostline.data.manifest import Manifest, Row
from frostline.data.places.inventory import Inventory
from frostline.data.sources import as_found, read
from frostline.errors import DataError, UnknownName
from frostline.judge.audit.findings import Finding, Subject, checks
from frostline.judge.audit.image_stats import LOOK, looked
from frostline.judge.audit.near_duplicates import NearDuplicates, _near_hashes, exact_copies, find_copies
from frostline.judge.audit.run_checks import audited, warnings_for
from frostline.judge.audit.write_csv import chosen, write_cleaned
from frostline.workflows.check import _probed

NONE = np.zeros((0, 2), np.int64), np.zeros(0, np.float32)


def photo(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Smooth shapes with detail, different for every seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    fine = rng.normal(0, 12, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(coarse, np.float64) + fine, 0, 255).astype(np.uint8))


def listing(labels: Sequence[str], splits: Sequence[str | None] | None = None, digests: str | None = None) -> Inventory:
    rows = tuple(
        Row(
            Path(f"{n}.jpg"),
            (label,),
            splits[n] if splits else None,
            None,
            f"{n}.jpg",
            digests[n] if digests else f"d{n}",
        )
        for n, label in enumerate(labels)
    )
    return Inventory(rows, ("",) * len(rows))


def found(check: str, subject: Subject) -> Finding:
    finding = checks.get(check)(subject)
    assert finding is not None
    assert finding.scores.shape == finding.mask.shape == finding.drop.shape == (len(subject.listing),)
    assert finding.scores.dtype == np.float32
    assert ((finding.scores >= 0) & (finding.scores <= 1)).all()
    return finding


def test_equal_labels_in_another_order_are_no_conflict() -> None:
    rows = tuple(Row(Path(f"{n}.jpg"), tuple("ab"[:: 1 - 2 * n]), digest="d") for n in range(2))
    of = Inventory(rows, ("", ""))
    assert checks.get("label-conflicts")(bare(of)) is None
    assert found("duplicates", bare(of)).mask.all()


def bare(of: Inventory, looks: NDArray[np.void] | None = None) -> Subject:
    return Subject(of, exact_copies(of), looks)


def plain_looks(n: int) -> NDArray[np.void]:
    looks = np.zeros(n, LOOK)
    looks["width"], looks["height"], looks["bytes"], looks["format"], looks["mode"] = 320, 240, 50_000, "JPEG", "RGB"
    looks["low"], looks["high"], looks["spread"], looks["sharpness"] = 0.05, 0.95, 0.25, 8
    return looks


# What one decode tells


def test_a_look_measures_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    photo(1).save(path, quality=70)
    seen = looked(Row(path))
    assert (seen["width"], seen["height"], seen["quality"]) == (320, 240, 70)
    assert (seen["format"], seen["mode"], seen["bytes"]) == ("JPEG", "RGB", path.stat().st_size)
    rgb = np.asarray(Image.open(path), np.float64) / 255
    assert np.allclose(seen["colour"], rgb.mean((0, 1)), atol=0.01)
    assert not seen["frames"]


@pytest.mark.parametrize("quality", [25, 50, 75, 95])
def test_the_quality_of_a_jpeg_is_read_from_its_table(tmp_path: Path, quality: int) -> None:
    photo(2).save(tmp_path / "a.jpg", quality=quality)
    assert abs(header(tmp_path / "a.jpg").quality - quality) <= 1


def test_an_animation_has_frames_and_a_phones_double_jpeg_has_not(tmp_path: Path) -> None:
    frames = [photo(n, (64, 48)) for n in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "b.mpo", save_all=True, append_images=frames[1:])
    assert header(tmp_path / "a.gif").frames
    assert not header(tmp_path / "b.mpo").frames


def test_blur_lowers_sharpness_and_fog_does_not(tmp_path: Path) -> None:
    sharp = photo(3)
    fog = Image.blend(sharp, Image.new("RGB", sharp.size, "grey"), 0.6)
    for name, image in (("sharp", sharp), ("fog", fog), ("blur", sharp.filter(ImageFilter.GaussianBlur(4)))):
        image.save(tmp_path / f"{name}.png")
    values = {name: float(looked(Row(tmp_path / f"{name}.png"))["sharpness"]) for name in ("sharp", "fog", "blur")}
    assert values["fog"] > 0.5 * values["sharp"]
    assert values["blur"] < 0.2 * values["sharp"]


def test_sharpness_orders_pictures_as_the_metric_of_crete_and_others_does(tmp_path: Path) -> None:
    from scipy.stats import spearmanr
    from skimage.measure import blur_effect

    ours, theirs = [], []
    for seed, radius in ((seed, radius) for seed in range(3) for radius in (0, 0.7, 1.2, 2, 3)):
        blurred = photo(seed).filter(ImageFilter.GaussianBlur(radius))
        blurred.save(tmp_path / "picture.png")
        ours.append(float(looked(Row(tmp_path / "picture.png"))["sharpness"]))
        theirs.append(blur_effect(np.asarray(blurred.convert("L"))))
    assert spearmanr(ours, theirs).statistic < -0.9


@pytest.mark.parametrize("lowest", [3, 20])
def test_pictures_blurred_on_purpose_are_found_among_ants_and_bees(ants_bees: Path, lowest: int) -> None:
    """Of 60 pictures every fifth is blurred, by 3 to 20 pixels; the others are as their photographers left them."""
    rng = np.random.default_rng(lowest)
    names = rng.permutation(sorted(str(place) for place in ants_bees.rglob("*.jpg")))[:60]
    looks = np.zeros(60, LOOK)
    for number, name in enumerate(names):
        with Image.open(name) as opened:
            picture = opened.convert("RGB")
        if number % 5 == 0:
            picture = picture.filter(ImageFilter.GaussianBlur(lowest if number % 10 else rng.uniform(3, 20)))
        encoded = io.BytesIO()
        picture.save(encoded, "JPEG", quality=85)
        looks[number] = looked(Row(encoded.getvalue()))
    mask = found("blurry", bare(listing("ab" * 30), looks)).mask
    assert mask[::5].sum() >= 10  # 8 of 10
    assert mask.sum() - mask[::5].sum() == 0  # less than 2 % of 48


# NearDuplicates


def test_near_hashes_are_those_that_a_plain_count_finds() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.random((300, 64)) > 0.5
    for n in range(0, 40, 2):
        hashes[n + 1] = hashes[n]
        hashes[n + 1, rng.permutation(64)[: n // 2]] ^= True
    expected = {(i, j) for i in range(300) for j in range(i + 1, 300) if int((hashes[i] ^ hashes[j]).sum()) <= 10}
    assert {(int(i), int(j)) for i, j in _near_hashes(hashes)} == expected
    assert len(expected) >= 11


def test_pictures_that_are_all_alike_take_no_memory_by_the_pair() -> None:
    """Of 3,000 from a fixed camera 4.5 million pairs were held, 200 MB; of 20,000 it was 10 GB. The nearest stay."""
    rng = np.random.default_rng(0)
    hashes = (rng.random(64) < 0.5) ^ (rng.random((3000, 64)) < 0.02)
    tracemalloc.start()
    pairs = _near_hashes(hashes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 << 20
    apart = (hashes[pairs[:, 0]] != hashes[pairs[:, 1]]).sum(1)
    assert len(pairs) == 50_000
    assert (np.diff(apart) >= 0).all()
    alike = hashes.astype(np.float32) @ hashes.T + (~hashes).astype(np.float32) @ (~hashes).T
    every = np.sort((64 - alike)[np.triu_indices(3000, 1)])
    assert apart.tolist() == every[:50_000].tolist()


def test_a_resaved_picture_is_a_copy_and_another_is_none(tmp_path: Path) -> None:
    rows = []
    for n in range(12):
        photo(n).save(tmp_path / f"{n}.jpg", quality=95)
        rows.append(Row(tmp_path / f"{n}.jpg", ("a",), digest=f"d{n}"))
    photo(3).resize((170, 128)).save(tmp_path / "again.jpg", quality=50)
    rows.append(Row(tmp_path / "again.jpg", ("a",), digest="again"))
    rows.append(Row(tmp_path / "0.jpg", ("a",), digest="d0"))
    copies = find_copies(Inventory(tuple(rows), ("",) * 14), np.array([looked(row) for row in rows]))
    assert [part.tolist() for part in copies.families()] == [[0, 13], [3, 12]]
    assert copies.pairs.tolist() == [[3, 12]]
    assert copies.alike[0] > 0.95


def test_pictures_by_one_fixed_camera_are_no_copies_of_each_other(tmp_path: Path) -> None:
    """Where any two pictures agree to 96 % in their pixels, only what sets them apart tells a copy."""
    scene, rows = np.asarray(photo(99), np.float64), []
    for n in range(40):
        own = np.asarray(
            Image.fromarray(np.random.default_rng(n).integers(0, 256, (12, 16), np.uint8)).resize((320, 240))
        )
        pixels = np.clip(scene + (own[:, :, None] - 128.0) * 0.12, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{n}.png")
        rows.append(Row(tmp_path / f"{n}.png", ("a",), digest=f"d{n}"))
    with Image.open(tmp_path / "7.png") as opened:
        opened.resize((200, 150)).save(tmp_path / "again.jpg", quality=70)
    rows.append(Row(tmp_path / "again.jpg", ("a",), digest="again"))
    looks = np.array([looked(row) for row in rows])
    flat = looks["small"].astype(np.float64)
    assert np.median(np.corrcoef(flat)[np.triu_indices(40, 1)]) > 0.96
    assert len(_near_hashes(looks["hash"])) > 50
    assert find_copies(Inventory(tuple(rows), ("",) * 41), looks).pairs.tolist() == [[7, 40]]


# Across splits and classes


def test_leakage_says_how_much_it_could_lift_the_figure() -> None:
    of = listing("aabbaabbaa", ["train"] * 4 + ["test"] * 6, "ABCDAEFGHI")
    said = np.zeros((10, 2), np.float32)
    said[np.arange(10), [0, 0, 1, 1, 1, 0, 1, 1, 0, 0]] = 1  # the leaked picture, row 4, is taken for "b"
    finding = found("leakage", Subject(of, exact_copies(of), probabilities=said))
    assert finding.level == "error"
    assert np.flatnonzero(finding.mask).tolist() == [0, 4]
    assert np.flatnonzero(finding.drop).tolist() == [0]
    assert finding.figures["test in train"] == {"leaked": 1, "exact": 1, "of": 6, "at_most": 1 / 6, "likely": 1 / 6}
    assert "1 of 6 test pictures are also in train" in finding.summary


def test_the_same_picture_under_two_labels_is_a_conflict_and_under_one_a_duplicate() -> None:
    subject = bare(listing("ababaa", None, "AABCDD"))
    conflict, twice = found("label-conflicts", subject), found("duplicates", subject)
    assert (conflict.level, np.flatnonzero(conflict.drop).tolist()) == ("error", [0, 1])
    assert (twice.level, np.flatnonzero(twice.mask).tolist(), np.flatnonzero(twice.drop).tolist()) == (
        "note",
        [4, 5],
        [5],
    )
    assert checks.get("leakage")(subject) is None
    assert checks.get("near-duplicates")(subject) is None


def test_nearly_equal_pictures_with_different_labels_are_a_warning() -> None:
    of = listing("abab")
    copies = NearDuplicates(np.arange(4), np.array([0, 0, 1, 2]), np.array([[0, 1]]), np.array([0.93], np.float32))
    finding = found("label-conflicts", Subject(of, copies))
    assert finding.level == "warning"
    assert finding.items[0].text == "nearly equal (93% alike), labelled a and b"


# Files and light


def test_unreadable_files_are_named_with_their_reason(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for n in range(3):
            photo(n + ord(name)).save(tmp_path / name / f"{n}.jpg")
    (tmp_path / "a" / "empty.jpg").touch()
    (tmp_path / "a" / "note.txt").write_text("no picture")
    of = as_found(tmp_path)
    assert len(of) == 7
    assert [item.text for item in found("unreadable", bare(of)).items] == ["the file is empty"]
    assert found("passed-over", bare(of)).items[0].text == "a/note.txt: not a picture"


@pytest.mark.parametrize(
    ("check", "change", "expected"),
    [
        ("dark", {"low": 0.0, "high": 0.1, "spread": 0.03}, True),
        ("bright", {"low": 0.9, "high": 1.0, "spread": 0.03}, True),
        ("blank", {"low": 0.5, "high": 0.5, "spread": 0.001}, True),
        ("transparent", {"spread": 0.0, "unseen": True}, True),
        ("blank", {"spread": 0.0, "unseen": True}, False),
        ("blurry", {"sharpness": 0.9}, True),
        ("size", {"width": 20, "height": 20}, True),
        ("size", {"width": 2000, "height": 100}, True),
        ("mode", {"mode": "CMYK"}, True),
        ("mode", {"mode": "L"}, True),
        ("extension", {"format": "PNG"}, True),
        ("animated", {"frames": True}, True),
        ("blurry", {"sharpness": 3.0}, False),
        ("flat", {"flat": 0.9}, True),
        ("flat", {"flat": 0.5}, False),
        ("dark", {"high": 0.4}, False),
    ],
)
def test_an_odd_picture_is_found_among_forty(check: str, change: dict[str, object], expected: bool) -> None:
    looks = plain_looks(40)
    for name, value in change.items():
        looks[name][17] = value
    subject = bare(listing("ab" * 20), looks)
    finding = checks.get(check)(subject)
    assert (finding is not None) == expected
    if finding is not None:
        assert np.flatnonzero(found(check, subject).mask).tolist() == [17]


def test_an_instrument_that_sees_no_detail_makes_no_blurry_pictures() -> None:
    looks = plain_looks(40)
    looks["sharpness"] = np.linspace(0.8, 0.94, 40)
    assert checks.get("blurry")(bare(listing("ab" * 20), looks)) is None


def test_dark_pictures_that_are_nearly_all_of_one_class_are_said_to_be() -> None:
    """A dead solar cell is dark: 7 of 7 very dark cells were defective, and nothing said that they had better stay."""
    looks, labels = plain_looks(60), ["defective" if n % 3 == 0 else "functional" for n in range(60)]
    looks["high"][[0, 3, 6, 9, 12, 15]] = 0.2
    assert found("dark", bare(listing(labels), looks)).summary == (
        "6 pictures are very dark; all of them are labelled defective, as 33% of all pictures are"
    )
    looks["high"] = np.where(np.arange(60) < 18, 0.2, 0.95)  # every class as often as among all
    assert found("dark", bare(listing(labels), looks)).summary == "18 pictures are very dark"


def test_what_tells_grey_pictures_apart_is_called_brightness() -> None:
    looks, of_b = plain_looks(120), np.arange(120) % 2 == 1
    looks["colour"] = (np.where(of_b, 0.7, 0.3) + np.random.default_rng(0).normal(0, 0.01, 120))[:, None]
    finding = found("shortcuts", bare(listing("ab" * 60), looks))
    assert finding.level == "note"
    assert set(finding.figures) == {"majority", "brightness"}
    assert finding.summary.startswith("brightness alone predicts the class with 100.0%")


# Classes


def test_class_names_are_compared_without_case_spaces_and_unicode_form() -> None:
    subject = bare(listing(["Café", "Cafe\u0301", "fire ant", "Fire_Ant", "bee"]))
    assert [item.text for item in found("names", subject).items] == [
        "'Cafe\u0301' (1) and 'Café' (1)",
        "'Fire_Ant' (1) and 'fire ant' (1)",
    ]


def test_few_pictures_unequal_classes_and_gaps_between_splits() -> None:
    labels = ["a"] * 200 + ["b"] * 12 + ["c"] + ["a"] * 5
    subject = bare(listing(labels, ["train"] * 213 + ["val"] * 5))
    few = found("few", subject)
    assert (few.level, few.items[0].text) == ("error", "'c' has 1; fit needs 2")
    assert found("balance", subject).figures["ratio"] == 200
    assert [item.text for item in found("classes", subject).items] == ["val lacks 'b'", "val lacks 'c'"]


def test_one_class_is_reported_and_not_refused(tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    photo(0).save(tmp_path / "only" / "0.png")
    assert "only one class" in found("classes", bare(as_found(tmp_path))).summary


# Labels, outliers, shortcuts


def test_swapped_labels_come_first() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 300)
    given = true.copy()
    given[:6] = (true[:6] + 1) % 3
    said = np.full((300, 3), 0.05, np.float32)
    said[np.arange(300), true] = 0.9
    of = listing(["abc"[n] for n in given])
    finding = found("labels", Subject(of, exact_copies(of), probabilities=said))
    assert {item.rows[0] for item in finding.items} == set(range(6))
    assert finding.items[0].text.endswith("(90%)")
    assert finding.scores[0] == pytest.approx(0.05)


def test_pictures_that_no_probe_could_be_without_say_nothing_of_labels() -> None:
    """Two classes, and 20 of one picture, which the probe has seen: it is no judge of their labels."""
    rng = np.random.default_rng(0)
    names = [f"{n % 2}" for n in range(40)] + [f"only {n}" for n in range(20)]
    of, features = listing(names), rng.normal(size=(60, 64)).astype(np.float32)
    said = _probed(of, exact_copies(of), features, seed=0)
    assert said is not None
    assert said[:40].sum(1) == pytest.approx(1, abs=1e-4)
    assert not said[40:].any()
    looks = plain_looks(60)
    looks["width"] = np.where(np.arange(60) % 2, 200, 320)
    finding = found("labels", Subject(of, exact_copies(of), looks, probabilities=said))
    assert finding.figures["probe_accuracy"] == np.mean(said[:40].argmax(1) == of.targets[:40])
    assert finding.mask[:40].any()
    assert not finding.mask[40:].any()


def test_a_probe_that_is_mostly_wrong_gives_no_warning_of_labels() -> None:
    rng = np.random.default_rng(0)
    of = listing([str(n) for n in rng.integers(0, 40, 720)])
    findings = []
    for strength, sure in ((0.5, 1), (2.3, 3), (8.0, 1)):  # none of the labels is wrong
        logits = sure * (rng.normal(size=(720, 40)) + strength * np.eye(40)[of.targets])
        said = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
        said[:3] = np.roll(said[:3], 1, axis=1)
        findings.append(found("labels", Subject(of, exact_copies(of), probabilities=said)))
    weak, middling, strong = findings
    assert middling.figures["probe_accuracy"] > 0.5
    assert middling.level == "note"
    assert middling.summary.endswith("these are so many that most are probably its own errors")
    assert weak.level == "note"
    assert len(weak.items) > 200
    assert weak.summary.endswith("so most of these are its own errors")
    assert strong.level == "warning"
    assert "its own errors" not in strong.summary


def test_a_label_that_something_trivial_contradicts_as_well_comes_before_all_others() -> None:
    true = np.arange(400) % 2
    given = true.copy()
    given[:4] = 1 - true[:4]
    looks = plain_looks(400)
    looks["width"] = np.where(true, 200, 320)  # as it was saved, whatever the label says now
    looks["width"][9] = 520 - looks["width"][9]
    said = np.where(np.eye(2)[true], 0.7, 0.3).astype(np.float32)
    said[0] = said[0, ::-1]  # this one's probe is with the label, not sure
    said[9] = np.where(np.eye(2)[true[9]], 0.999, 0.001)  # and this one's so sure that the size may say what it likes
    said[20:40] = said[20:40, ::-1] * [0.5, 1.5]
    of = listing(["ab"[n] for n in given])
    alone, both = (found("labels", Subject(of, exact_copies(of), seen, probabilities=said)) for seen in (None, looks))
    assert 0 not in {item.rows[0] for item in alone.items}
    assert {item.rows[0] for item in both.items[:4]} == {0, 1, 2, 3}
    assert all(item.text.endswith(f"its size is that of {'ab'[true[item.rows[0]]]}") for item in both.items[:4])
    assert {item.rows[0] for item in both.items} == {item.rows[0] for item in alone.items} | {0}
    assert 9 not in {item.rows[0] for item in both.items}
    assert both.summary.endswith("; size contradicts 4 of them as well")

    looks["width"] = np.where(given, 200, 320)  # saved by what the label says: no witness
    same = found("labels", Subject(of, exact_copies(of), looks, probabilities=said))
    assert [item.rows for item in same.items] == [item.rows for item in alone.items]


def test_an_outlier_stands_apart() -> None:
    rng = np.random.default_rng(0)
    features = (rng.normal(0, 0.05, (100, 32)) + np.ones(32)).astype(np.float32)
    features[42, :16] = -1
    of = listing("ab" * 50)
    finding = found("outliers", Subject(of, exact_copies(of), features=features))
    assert np.flatnonzero(finding.mask).tolist() == [42]
    assert finding.scores.argmin() == 42


def _other_size(looks: NDArray[np.void], of_b: NDArray[np.bool_]) -> None:
    looks["width"][of_b] = 200


def _other_format(looks: NDArray[np.void], of_b: NDArray[np.bool_]) -> None:
    looks["format"][of_b] = "PNG"


def _worse_jpeg(looks: NDArray[np.void], of_b: NDArray[np.bool_]) -> None:
    looks["quality"][of_b] = 50


@pytest.mark.parametrize(
    ("what", "plant"), [("size", _other_size), ("file format", _other_format), ("compression", _worse_jpeg)]
)
def test_a_shortcut_is_found_with_its_accuracy(
    what: str, plant: Callable[[NDArray[np.void], NDArray[np.bool_]], None]
) -> None:
    rng = np.random.default_rng(0)
    looks = plain_looks(120)
    looks["quality"] = 90
    looks["colour"] = rng.random((120, 3))
    plant(looks, np.arange(120) % 2 == 1)
    finding = found("shortcuts", bare(listing("ab" * 60), looks))
    assert finding.level == "warning"
    assert finding.figures[what]["accuracy"] == 1.0
    assert finding.items[0].text.startswith(f"{what} alone predicts the class with 100.0%")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("Käfer", "Bienen"), ("Ka\u0308fer/IMG_{}.jpg", "Bienen/IMG_{}.jpg")),  # a folder of macOS
        (("apartment/outdoor", "bridge"), ("apartment/outdoor/{}.jpg", "bridge/{}.jpg")),
        (("a", "b"), ("a/hand_{}.jpg", "b/hand_{}.jpg")),
        (("cat", "dog"), ("cat_2021/catPhoto{}.jpg", "dog_2021/dogPhoto{}.jpg")),
        (("猫", "狗"), ("猫/小猫照片{}.jpg", "狗/小狗照片{}.jpg")),
    ],
)
def test_the_name_of_the_class_is_no_shortcut_however_it_is_written(
    labels: tuple[str, ...], names: tuple[str, ...]
) -> None:
    rows = tuple(Row(Path("x"), (labels[n % 2],), None, None, names[n % 2].format(n // 2), f"d{n}") for n in range(120))
    looks = plain_looks(120)
    assert checks.get("shortcuts")(bare(Inventory(rows, ("",) * 120), looks)) is None
    told = tuple(replace(row, name=f"{'ab'[n % 2] * 3}/{n}.jpg") for n, row in enumerate(rows))
    assert found("shortcuts", bare(Inventory(told, ("",) * 120), looks)).figures["file name"]["accuracy"] == 1.0


def test_one_class_of_ten_saved_otherwise_is_found_too() -> None:
    labels = [str(n % 10) for n in range(400)]
    looks = plain_looks(400)
    looks["colour"] = np.random.default_rng(0).random((400, 3))
    looks["width"][np.array(labels) == "3"] = 500
    finding = found("shortcuts", bare(listing(labels), looks))
    assert finding.level == "warning"
    assert finding.items[0].text.endswith("it gives away '3'")


def test_what_cannot_be_read_is_no_copy_of_anything() -> None:
    """A page "404 not found" in place of pictures, in both classes and both splits."""
    rows = listing("aabb", ["train", "val", "train", "val"], digests="xxyx").rows
    subject = bare(Inventory(rows, ("not a picture", "not a picture", "", "not a picture")))
    for check in ("leakage", "label-conflicts", "duplicates"):
        assert checks.get(check)(subject) is None
        assert checks.get(check)(bare(Inventory(rows, ("",) * 4))) is not None or check == "duplicates"
    assert found("unreadable", subject).mask.sum() == 3


def test_what_tells_patients_apart_is_no_shortcut_to_their_classes() -> None:
    """Each patient has a size and a colour of their own, and a class by chance: of a new one they say nothing."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(24), 10)
    labels = rng.permutation(list("ab" * 12))[patient]
    looks = plain_looks(240)
    looks["width"], looks["colour"] = rng.permutation(np.arange(200, 224))[patient], rng.random((24, 3))[patient]
    alone = listing(labels.tolist())
    grouped = Inventory(
        tuple(replace(row, group=f"{number}") for row, number in zip(alone.rows, patient, strict=True)), alone.faults
    )
    assert found("shortcuts", bare(alone, looks)).level == "warning"  # for all that is known, sizes go with classes
    assert checks.get("shortcuts")(bare(grouped, looks)) is None


def test_chance_is_no_shortcut() -> None:
    rng = np.random.default_rng(1)
    looks = plain_looks(300)
    looks["width"], looks["colour"], looks["bytes"] = rng.integers(200, 600, 300), rng.random((300, 3)), 40_000
    assert checks.get("shortcuts")(bare(listing(["ab"[n] for n in rng.integers(0, 2, 300)]), looks)) is None


# The table without what was found


def test_the_cleaned_table_is_read_again_without_what_was_found(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("a", "b, c"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for n in range(3):
                photo(n + 10 * (split == "test") + 100 * (name == "a"), (40, 30)).save(
                    tmp_path / "data" / split / name / f"{n}.png"
                )
    leak = (tmp_path / "data/train/a/0.png").read_bytes()
    (tmp_path / "data/test/a/leaked.png").write_bytes(leak)
    (tmp_path / "data/train/a/0 again.png").write_bytes(leak)
    (tmp_path / "data/train/a/broken.png").touch()
    of = as_found(tmp_path / "data", cache=tmp_path / "cache")
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "data").rglob("*"))
    kept, gone = write_cleaned(audited(bare(of)), tmp_path / "cleaned.csv", drop=("leakage", "unreadable"))
    assert (kept, gone) == (12, 3)
    again = read(tmp_path / "cleaned.csv", cache=tmp_path / "cache")
    assert {row.name for row in again.rows} == {
        f"data/{row.name}"
        for row in of.rows
        if row.name not in ("train/a/0.png", "train/a/0 again.png", "train/a/broken.png")
    }
    assert again.classes == ("a", "b, c")
    assert not set(again.part("train").digests) & set(again.part("test").digests)
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "data").rglob("*")) == before


def test_test_pictures_stay_whatever_a_model_thinks_of_their_labels(tmp_path: Path) -> None:
    true = np.tile([0, 1], 60)
    given = true.copy()
    given[[0, 119]] = 1 - given[[0, 119]]
    said = np.full((120, 2), 0.03, np.float32)
    said[np.arange(120), true] = 0.97
    of = listing(["ab"[n] for n in given], ["train"] * 60 + ["test"] * 60)
    audit = audited(Subject(of, exact_copies(of), probabilities=said))
    assert np.flatnonzero(next(f for f in audit.findings if f.check == "labels").mask).tolist() == [0, 119]
    assert write_cleaned(audit, tmp_path / "c.csv", drop=("labels",)) == (119, 1)
    with (tmp_path / "c.csv").open(newline="") as file:
        assert list(csv.reader(file))[-1][1:] == ["a", "test"]


def test_what_a_table_cannot_hold_is_refused(tmp_path: Path) -> None:
    audit = audited(bare(listing(["None", "c"])))
    with pytest.raises(DataError, match="cannot hold 'None'"):
        write_cleaned(audit, tmp_path / "c.csv", drop=())
    assert not list(tmp_path.iterdir())


def test_unknown_findings_cannot_be_dropped() -> None:
    assert chosen("duplicates, unreadable,") == ("duplicates", "unreadable")
    with pytest.raises(UnknownName, match="duplicatez"):
        chosen("duplicatez")


# What fit says


def test_fit_is_told_in_two_lines() -> None:
    of = listing(
        ["Ant"] * 30 + ["ant"] * 30 + ["bee"] * 3,
        ["train"] * 50 + ["val"] * 13,
        "A" + "".join(map(chr, range(200, 261))) + "A",
    )
    lines = warnings_for(Manifest(of.rows, of.classes))
    assert len(lines) == 2
    assert lines[0].startswith("1 of 13 val pictures are also in train")
    assert "two labels" in lines[1]
    assert "'Ant' (30) and 'ant' (30)" in lines[1]


def test_fit_is_told_nothing_of_good_data(leaves: Path, tmp_path: Path) -> None:
    assert warnings_for(read(leaves, cache=tmp_path)) == []
