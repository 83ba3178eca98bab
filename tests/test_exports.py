"""What ``frostline`` offers is what it says it offers."""

import frostline


def test_every_name_can_be_imported_and_none_is_hidden() -> None:
    assert set(frostline.__all__) == set(frostline._HOMES)
    assert sorted(frostline.__all__) == list(frostline.__all__)
    for name in frostline.__all__:
        assert getattr(frostline, name) is not None


def test_unknown_names_are_attribute_errors() -> None:
    assert not hasattr(frostline, "fine_tune_everything")
