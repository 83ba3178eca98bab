"""Shards: every picture once, whatever is killed, started again, or started twice."""

import csv
import io
import json
import signal
import subprocess
import sys
import time

import pytest

from frostline.data.manifest import Row
from frostline.errors import DataError, PlanError
from frostline.ship import prediction_table
from frostline.ship.batch_predict import JOB, Shard, merge, shard_of, work
from frostline.ship.open_predictor import open_predictor
from frostline.ship.prediction_table import Columns
from tests.data.pictures import encoded, scene
from tests.ship.conftest import saved

WORKER = """
import sys, time
from pathlib import Path
from frostline.data.loose_pictures import pictures
from frostline.ship.open_predictor import open_predictor
from frostline.ship.prediction_table import Columns
from frostline.ship.batch_predict import Shard, work

class Slow:
    def __init__(self, inner):
        self.inner, self.about, self.engine = inner, inner.about, inner.engine
    def predict(self, rows):
        for answer in self.inner.predict(rows):
            time.sleep(0.03)
            yield answer

model, folder, photos, number = sys.argv[1:]
slow = Slow(open_predictor(model, engine="openvino"))
work(Path(folder), Shard(int(number), 2), pictures([photos]), slow, places=[photos], part_rows=3)
assert "torch" not in sys.modules
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    place, _ = saved(tmp_path_factory.mktemp("model") / "model", "test_resnet")
    return place


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(60):
        (folder / f"{number:02d}, ä.png").write_bytes(encoded(scene(40, 30, number)))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    return folder


def rows_of(photos):
    return [Row(path, name=str(path)) for path in sorted(photos.iterdir())]


def merged(folder):
    text = io.StringIO()
    count = merge(folder, csv.writer(text).writerow)
    return count, list(csv.DictReader(io.StringIO(text.getvalue())))


def expected(model, photos):
    answering = open_predictor(model)
    return {answer.name: answer for answer in answering.predict(rows_of(photos))}, answering.about.classes


def test_a_killed_worker_that_starts_again_loses_and_repeats_nothing(model, photos, tmp_path):
    out = tmp_path / "out"

    def start(number):
        return subprocess.Popen([sys.executable, "-c", WORKER, str(model), str(out), str(photos), str(number)])

    workers = [start(0), start(1)]
    deadline = time.monotonic() + 60
    while not list(out.glob("shard-00001-of-00002/*.csv")) and time.monotonic() < deadline:
        time.sleep(0.01)
    workers[1].send_signal(signal.SIGKILL)
    assert workers[1].wait() == -signal.SIGKILL
    assert workers[0].wait() == 0
    kept = [path.read_bytes() for path in out.glob("shard-00001-of-00002/*.csv")]
    assert kept
    with pytest.raises(DataError, match="1 of 2 shards are not complete: 1/2") as caught:
        merged(out)
    assert "--shard 1/2" in caught.value.hint
    assert start(1).wait() == 0
    count, lines = merged(out)
    answers, classes = expected(model, photos)
    assert (count.rows, count.unreadable) == (61, 1)
    assert [line["path"] for line in lines] == sorted(answers)
    for line in lines:
        answer = answers[line["path"]]
        if line["error"]:
            assert line["path"].endswith("broken.png")
            assert line["label"] == ""
        else:
            assert line["label"] == classes[answer.probabilities.argmax()]
            assert float(line["probability"]) == pytest.approx(answer.probabilities.max(), abs=1e-5)
    assert sorted(path.name for path in out.iterdir()) == [
        "job.json",
        *(f"shard-0000{number}-of-00002.{kind}" for number in (0, 1) for kind in ("csv", "done")),
    ]


def test_shards_share_out_all_names_once_in_any_order():
    names = [f"pictures/{number}.jpg" for number in range(1000)]
    shares = [{name for name in names if Shard(number, 7).has(name)} for number in range(7)]
    assert sum(map(len, shares)) == len(set().union(*shares)) == 1000
    assert min(map(len, shares)) > 100


def test_two_workers_of_one_shard_do_no_harm(model, photos, tmp_path):
    answering, shard = open_predictor(model), Shard(0, 1)
    some = rows_of(photos)[:10]

    class Interrupted:
        about, engine = answering.about, answering.engine

        def predict(self, rows):
            held = list(rows)
            # another one closes the shard, with more pictures, while this one is still at work
            work(tmp_path, shard, rows_of(photos), answering, places=["p"])
            yield from answering.predict(held)

    assert work(tmp_path, shard, some, Interrupted(), places=["p"]).rows == 61
    count, lines = merged(tmp_path)
    assert count.rows == len({line["path"] for line in lines}) == 61


def test_any_name_and_sets_of_any_length_are_gone_on_behind_and_merged(model, photos, tmp_path, monkeypatch):
    """A carriage return in a name, and more classes in a set than csv reads by itself."""
    rows = [
        Row(row.picture, name=name) for row, name in zip(rows_of(photos), ("a\rb.jpg", "\r", "c.jpg"), strict=False)
    ]
    many = [f"{n:05}_Animalia_Annelida_Clitellata_Haplotaxida_Lumbricidae" for n in range(3_000)]
    monkeypatch.setattr(prediction_table, "members", lambda *_: [(name, 1.0) for name in many])
    answering, how = open_predictor(model), {"places": ["p"], "columns": Columns(1, 0.9), "part_rows": 1}

    class Killed:
        about, engine = answering.about, answering.engine

        def predict(self, rows):
            yield from answering.predict(list(rows)[:2])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(tmp_path, Shard(0, 1), rows, Killed(), **how)
    assert work(tmp_path, Shard(0, 1), rows, answering, **how).new == 1
    found = []
    assert merge(tmp_path, found.append).rows == 3
    assert [line[0] for line in found[1:]] == sorted(row.name for row in rows)
    assert {line[3] for line in found[1:]} == {"|".join(many)}


def test_what_is_complete_is_not_done_again(model, photos, tmp_path):
    rows = [*rows_of(photos)[:5], rows_of(photos)[0]]
    first = work(tmp_path, Shard(0, 1), rows, open_predictor(model), places=["p"], columns=Columns(3))
    again = work(tmp_path, Shard(0, 1), rows, open_predictor(model), places=["p"], columns=Columns(3))
    assert (first.rows, first.new, again.rows, again.new) == (5, 5, 5, 0)
    _, lines = merged(tmp_path)
    assert list(lines[0]) == [
        "path", "label", "probability", "label_2", "probability_2", "label_3", "probability_3", "novel", "error",
    ]  # fmt: skip


def test_another_job_in_the_same_folder_is_refused(model, photos, tmp_path):
    work(tmp_path, Shard(0, 2), rows_of(photos)[:2], open_predictor(model), places=["p"])
    for shard, places, top, what in (
        (Shard(0, 3), ["p"], 1, "number of shards"),
        (Shard(0, 2), ["q"], 1, "list of pictures"),
        (Shard(0, 2), ["p"], 2, "top"),
    ):
        with pytest.raises(PlanError, match=f"its {what} differs") as caught:
            work(tmp_path, shard, [], open_predictor(model), places=places, columns=Columns(top))
        assert caught.value.where.endswith(JOB)


def test_two_precisions_are_not_mixed_in_one_folder(model, photos, tmp_path):
    exact, rough = (open_predictor(model, engine="torch", precision=precision) for precision in ("fp32", "bf16"))
    for number, (first, second) in enumerate([(exact, rough), (rough, exact)]):
        out = tmp_path / str(number)
        work(out, Shard(0, 2), rows_of(photos)[:2], first, places=["p"])
        with pytest.raises(PlanError, match="its --precision differs"):
            work(out, Shard(1, 2), rows_of(photos)[:2], second, places=["p"])
        work(out, Shard(1, 2), rows_of(photos)[:2], first, places=["p"])


def test_a_damaged_shard_is_noticed(model, photos, tmp_path):
    work(tmp_path, Shard(0, 1), rows_of(photos)[:3], open_predictor(model), places=["p"])
    path = tmp_path / "shard-00000-of-00001.csv"
    path.write_text(path.read_text()[:-10])
    with pytest.raises(DataError, match="not what was written"):
        merged(tmp_path)
    with pytest.raises(DataError, match=r"no job\.json"):
        merge(photos, lambda line: None)


@pytest.mark.parametrize(
    ("text", "environment", "wanted"),
    [
        ("1/4", {"RANK": "0", "WORLD_SIZE": "2"}, Shard(1, 4)),
        (None, {"RANK": "1", "WORLD_SIZE": "2"}, Shard(1, 2)),
        (None, {}, Shard(0, 1)),
    ],
)
def test_a_shard_is_named_or_comes_from_the_launcher(text, environment, wanted):
    assert shard_of(text, environment) == wanted


@pytest.mark.parametrize("text", ["4/4", "-1/4", "1", "a/b", "0/0"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(PlanError) as caught:
        shard_of(text, {})
    assert caught.value.where == "--shard"
    assert caught.value.hint


def test_the_job_says_what_all_agree_on(model, photos, tmp_path):
    work(tmp_path, Shard(0, 1), [], open_predictor(model), places=["p"])
    job = json.loads((tmp_path / JOB).read_text())
    assert {key: job[key] for key in ("format", "of", "top", "pictures")} == {
        "format": 2, "of": 1, "top": 1, "pictures": ["p"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "change", [{"of": 10**15}, {"of": 0}, {"of": True}, {"top": 10**15}, {"top": -1}, {"top": 1.5}]
)
def test_a_job_of_numbers_that_none_has_is_refused_at_once(tmp_path, change):
    good = {"format": 2, "model": "", "of": 1, "top": 1, "coverage": None, "pictures": []}
    (tmp_path / JOB).write_text(json.dumps(good))
    with pytest.raises(DataError, match="1 of 1 shards are not complete"):
        merge(tmp_path, print)
    (tmp_path / JOB).write_text(json.dumps(good | change))
    with pytest.raises(DataError, match=r"no job\.json that this version reads"):
        merge(tmp_path, print)
