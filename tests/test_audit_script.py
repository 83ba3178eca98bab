"""`make audit` says how many packages it compared: that none of them could be is not that none is at fault."""

import json
import runpy
from pathlib import Path

import pytest

audit = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "audit.py"))


def dependency(name, **more):
    return {"name": name, "version": "1.0", **more}


def test_packages_that_could_not_be_asked_about_are_not_counted(monkeypatch, capsys):
    skipped = json.dumps({"dependencies": [dependency("a", skip_reason="not found")]})
    monkeypatch.setitem(audit["main"].__globals__, "run", lambda *words, limit: skipped)
    assert audit["main"]() == 0
    assert "not compared" in capsys.readouterr().out


@pytest.mark.parametrize(("vulns", "code"), [([], 0), ([{"id": "CVE-1", "fix_versions": ["1.1"]}], 1)])
def test_what_is_known_of_those_that_were_is_said(monkeypatch, capsys, vulns, code):
    found = json.dumps({"dependencies": [dependency("a", skip_reason="no"), dependency("b", vulns=vulns)]})
    monkeypatch.setitem(audit["main"].__globals__, "run", lambda *words, limit: found)
    assert audit["main"]() == code
    said = capsys.readouterr().out
    assert f"1 of 2 packages compared with the advisories of pypi: {len(vulns)} known" in said
    assert ("CVE-1, mended in 1.1" in said) == bool(vulns)


def test_a_step_that_takes_too_long_or_says_nothing_is_given_up():
    assert audit["run"]("-c", "import time; time.sleep(30)", limit=0.3) is None
    assert audit["run"]("-c", "raise SystemExit(1)", limit=20) is None
    assert [audit["parsed"](said) for said in (None, "[]", "x", "{}")] == [[]] * 4
