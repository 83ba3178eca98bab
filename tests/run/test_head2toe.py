"""The strategy head2toe, from pictures to a folder that answers."""

import torch

from frostline import ImageClassifier
from frostline.ship.open_folder import open_folder
from frostline.ship.open_predictor import open_predictor
from tests.data.pictures import scene


def test_the_folder_opens_as_what_was_fitted_and_the_plain_head_in_it_is_the_probes(leaves, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = {"model": "test_efficientnet", "weights": "none", "engine": "torch", "precision": "fp32", "seed": 3}
    probe = ImageClassifier(strategy="probe", head_crops=0, **options, out=tmp_path / "probe").fit(leaves)
    fitted = ImageClassifier(strategy="head2toe", **options, out=tmp_path / "run").fit(leaves)
    assert fitted.result_.metrics["test"].figures["accuracy"].value >= 0.9
    shipped = open_folder(tmp_path / "run" / "model")
    assert shipped.about.kind == "head2toe"
    size = shipped.preprocessing.size
    picture = torch.from_numpy(scene(size[1], size[0], 1).copy()).permute(2, 0, 1)[None].float() / 255
    plain = open_folder(tmp_path / "probe" / "model").net
    with torch.no_grad():
        torch.testing.assert_close(shipped.net.net(picture), plain(picture), atol=1e-4, rtol=1e-4)
        assert not torch.allclose(shipped.net(picture), plain(picture), atol=1e-3)
    graph = open_predictor(tmp_path / "run" / "model", engine="openvino")
    answers = (open_predictor(tmp_path / "run" / "model", engine="torch"), graph)
    one, other = (predictor.engine.run(scene(size[1], size[0], 1)[None])[0] for predictor in answers)
    assert abs(one - other).max() < 1e-3
    assert probe.result_.classes == fitted.result_.classes
