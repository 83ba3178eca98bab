"""Strategies are functions from stages to plans, and plans are data: what each says, and what it refuses."""

import json

import pytest
import timm

from frostline.errors import PlanError, UnknownName
from frostline.net.stages import Stages, stages
from frostline.options import LARGE, SMALL
from frostline.train.defaults import TABLE, default
from frostline.train.plan import Lora, Plan, Recipe, Solve, Train, rates_of
from frostline.train.schedule import Schedule
from frostline.train.strategies import make_plan, make_recipe, strategies

FEW = 200


@pytest.fixture(scope="module")
def found() -> Stages:
    return stages(timm.create_model("test_resnet", num_classes=2))


def planned(found: Stages, name: str, **given: object) -> Plan:
    return make_plan(name, found, given, pictures=FEW)


def trains(plan: Plan) -> list[Train]:
    return [phase for phase in plan.phases if isinstance(phase, Train)]


def test_the_lines_are_where_the_design_says(found: Stages) -> None:
    lines = {name: [phase.line for phase in planned(found, name).phases] for name, _ in strategies}
    bottom = found.names[0]
    assert lines["probe"] == ["head"]
    assert lines["freeze"] == ["head"]
    assert lines["gradual"] == list(reversed(found.names))
    assert lines["lp-ft"] == ["head", bottom]
    assert lines["auto"] == ["head", bottom, found.names[2 * len(found) // 5]]
    for name in ("discriminative", "layerwise", "full", "bitfit", "norm", "lora"):
        assert lines[name] == [bottom]


def test_the_rates_are_what_was_asked_for(found: Stages) -> None:
    (phase,) = trains(planned(found, "discriminative", lr=1e-2, trunk_lr=1e-4))
    assert dict(phase.rates) == {**dict.fromkeys(found.names, 1e-4), "head": 1e-2}
    (phase,) = trains(planned(found, "layerwise", lr=1.0, decay=0.5))
    assert [rate for _, rate in reversed(phase.rates)] == [0.5**i for i in range(len(found))]
    (phase,) = trains(planned(found, "lp-ft", trunk_lr=1e-5))
    assert set(dict(phase.rates).values()) == {1e-5}
    assert isinstance(planned(found, "lp-ft").phases[0], Solve)
    assert trains(planned(found, "lora", rank=4))[0].learns == Lora(4, 8.0)
    assert [trains(planned(found, name))[0].learns for name in ("bitfit", "norm", "full")] == ["bias", "norm", "all"]


def test_a_rate_of_zero_moves_the_line_and_what_is_below_is_stored(found: Stages) -> None:
    (phase,) = trains(planned(found, "discriminative", trunk_lr=0.0))
    assert (phase.line, phase.stored) == ("head", True)
    (phase,) = trains(planned(found, "discriminative", trunk_lr=0.0, views=0))
    assert not phase.stored
    (phase,) = trains(planned(found, "freeze", frozen_norm="update"))
    assert not phase.stored


def test_auto_judges_by_val_and_lets_it_choose_no_epoch(found: Stages) -> None:
    plan = planned(found, "auto")
    assert plan.keep == "if-better"
    assert plan.budget == 300
    assert {(phase.recipe.keep, phase.recipe.patience) for phase in trains(plan)} == {("last", 0)}


def test_auto_warms_up_by_steps_where_an_epoch_has_few_and_a_warm_up_is_a_share_of_what_is_asked_for() -> None:
    """After half an epoch of 40 pictures a step at the full rate undid the fit: the loss went from 0.9 to 58."""

    def first(pictures: int) -> float:
        recipe = make_recipe({"strategy": "auto"}, pictures=pictures)
        epochs, steps = default("epochs", pictures, {"strategy": "auto"}), -(-pictures // recipe.batch_size)
        return Schedule(recipe.schedule, epochs, steps, recipe.warmup).factor(0)

    assert all(first(pictures) < 0.1 for pictures in (20, 60, 150, 500))
    assert make_recipe({"strategy": "auto", "epochs": 10}, pictures=60).warmup == 2.0
    assert make_recipe({"strategy": "auto", "epochs": 400}, pictures=60).warmup == 8.0
    assert make_recipe({"strategy": "auto", "epochs": 10, "warmup": 5.0}, pictures=60).warmup == 5.0


def test_a_plan_is_plain_data(found: Stages) -> None:
    for name, _ in strategies:
        plan = planned(found, name)
        assert json.loads(json.dumps(plan.to_dict()))["phases"][0]["line"] == plan.phases[0].line


def test_given_wins_over_a_signature_and_that_over_the_table(found: Stages) -> None:
    assert dict(trains(planned(found, "full"))[0].rates)["head"] == 3e-4
    assert dict(trains(planned(found, "full", lr=0.5))[0].rates)["head"] == 0.5
    for name in ("label_smoothing", "views", "batch_size"):
        for pictures in (SMALL - 1, SMALL, LARGE):
            assert getattr(make_recipe({}, pictures=pictures), name) == TABLE[name].for_size(pictures)
    assert make_recipe({"batch_size": 7}, pictures=FEW).batch_size == 7
    assert make_recipe({"optimizer": "sgd"}, pictures=FEW).clip == default("clip", FEW, {"optimizer": "sgd"}) == 0.0
    assert all(row.source for row in TABLE.values())


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("probe", {"lr": 0.1}, "no use for --lr"),
        ("full", {"rank": 4}, "no use for --rank"),
        ("full", {"lr": -1.0}, "lr is -1.0"),
        ("full", {"epochs": 0}, "epochs is 0"),
        ("full", {"optimizer": "adamm"}, "no optimizer 'adamm'"),
        ("full", {"gamma": 0.5}, "--gamma does nothing unless --schedule is plateau or step"),
        ("full", {"views": 1, "augment": "flip"}, "--augment does nothing if --views is 1"),
        (
            "full",
            {"schedule": "cosin"},
            r"--schedule is 'cosin', not one of [^\n]*\n  at --schedule\n  hint: did you mean cosine",
        ),
        (
            "full",
            {"frozen_norm": "foo"},
            r"--frozen-norm is 'foo'[^\n]*\n  at --frozen-norm\n  hint: one of hold, hold-all",
        ),
        ("full", {"batch_size": 0}, r"--batch-size is 0[^\n]*\n  at --batch-size\n  hint: give a whole number of 1"),
        ("full", {"ema": 2.0}, r"--ema is 2.0, not in \[0, 1\)\n  at --ema\n  hint: give a number in \[0, 1\)"),
        ("full", {"colour": 1}, "no option 'colour'"),
    ],
)
def test_options_without_effect_or_sense_are_refused(
    found: Stages, name: str, given: dict[str, object], told: str
) -> None:
    with pytest.raises(PlanError, match=told):
        planned(found, name, **given)


def test_options_that_say_the_same_are_not_refused(found: Stages) -> None:
    (phase,) = trains(planned(found, "freeze", views=1, augment="none", erasing=0.0, schedule="one-cycle", warmup=0.0))
    assert phase.recipe.augment == "none"


def test_faults_are_told_together(found: Stages) -> None:
    with pytest.raises(PlanError) as refused:
        planned(found, "full", lr=-1.0, batch_size=0, label_smoothing=3.0)
    assert all(word in refused.value.what for word in ("--lr", "--batch-size", "--label-smoothing"))
    assert refused.value.where == "--lr, --batch-size, --label-smoothing"


def test_strangers_functions_are_checked(found: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    def good(stages: Stages, *, recipe: Recipe, lr: float = 2.0, epochs: int) -> Plan:
        return Plan("good", (Train("all", rates_of(dict.fromkeys(stages.names, lr)), epochs, recipe),))

    monkeypatch.setitem(strategies._things, "no-plan", lambda stages: [Solve()])
    monkeypatch.setitem(strategies._things, "few-rates", lambda stages: Plan("x", (Train("a", (("head", 1.0),), 1),)))
    monkeypatch.setitem(strategies._things, "good", good)
    assert dict(trains(planned(found, "good"))[0].rates)["head"] == 2.0
    with pytest.raises(PlanError, match="returned list, not a Plan"):
        planned(found, "no-plan")
    with pytest.raises(PlanError, match="gives rates for"):
        planned(found, "few-rates")
    with pytest.raises(UnknownName, match="layerwis") as refused:
        planned(found, "layerwis")
    assert "layerwise" in str(refused.value)
    assert refused.value.where == "--strategy"


def test_what_starts_from_a_fitted_head_trains_in_even_batches_and_the_lesson_in_whole_ones_and_a_rest(
    found: Stages,
) -> None:
    names = ("auto", "lp-ft", "freeze", "discriminative")
    even = [{phase.even_batches for phase in trains(planned(found, name))} for name in names]
    assert even == [{True}, {True}, {False}, {False}]
