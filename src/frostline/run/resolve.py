"""From what was asked to what will be done: network, split, plan and data, checked before anything is learnt.

`runner` carries out what is resolved here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from frostline.data.manifest import Manifest
from frostline.data.pictures.formats import kinds
from frostline.data.pictures.reading import Reading, asked
from frostline.data.split import assign_splits, few, folds, shares_of, with_validation
from frostline.data.survey import survey
from frostline.data.views import EvaluationView
from frostline.errors import DataError, HeadError, PlanError, StageError, first_few
from frostline.events import Listener, Note, Warn, Work
from frostline.features.activations import BOTTOM, Activations, Elsewhere
from frostline.features.store import Store
from frostline.judge.audit.run_checks import warnings_for
from frostline.judge.pages.translations import checked
from frostline.net import all_stages, zoo
from frostline.net.freeze import rates
from frostline.net.head import Head
from frostline.net.stages import HEAD, Stages, cut, stages
from frostline.options import FEW, OPTIONS, FitOptions
from frostline.processors import launched_processes
from frostline.quantities import seconds, side
from frostline.run import alike_neighbours
from frostline.run.image_size import AUTO, allowed_work, chosen_side
from frostline.run.phase_context import PhaseContext
from frostline.run.provenance import command_of, facts_of, machine, units_of
from frostline.run.run_folder import RunFolder
from frostline.run.solve_phase import solvable, with_crops
from frostline.train.defaults import default
from frostline.train.device import check_device, open_device
from frostline.train.plan import Phase, Plan, Solve, Train, rates_of
from frostline.train.strategies import make_plan, make_recipe

_FOLDS = 3  # of `FEW` pictures a fifth is too few to judge a phase by, and each can be trained on three times
_HEAD_EPOCHS = 100  # for a head that cannot be solved; over stored features they cost seconds


@dataclass(frozen=True, kw_only=True)
class Settings(FitOptions):
    """What a run needs beside its pictures: the options, and where computed things are kept.

    elsewhere: given what `zoo.build` was given, makes what computes features on other machines.
    """

    store: Store
    cache: Path
    elsewhere: Callable[[Mapping[str, Any]], Elsewhere] | None = None


@dataclass(frozen=True)
class Job:
    """A run that has been resolved and not yet carried out.

    facts, told: what plan.json says; a run is gone on with only by one of the same facts.
    folds: that judge the phases, if a val split does not. split_off: these folds or that val split were chosen here,
        for nobody has one or asks for one, or for so few pictures a class.
    sized: the side of the pictures was chosen by pictures of which some judge.
    """

    settings: Settings
    plan: Plan
    manifest: Manifest
    context: PhaseContext
    backbone: zoo.Backbone
    facts: Mapping[str, Any]
    told: Mapping[str, Any]
    record: RunFolder
    tell: Listener
    begun: float
    folds: int | None = None
    split_off: bool = False
    sized: bool = False

    @property
    def budget(self) -> float | None:
        """Seconds that the phases may take: those that were asked for, else the plan's; None is without end."""
        return self.plan.budget if self.settings.budget is None else seconds(self.settings.budget)


def resolve(manifest: Manifest, settings: Settings, record: RunFolder, tell: Listener, begun: float) -> Job:
    """Everything that can be refused is refused here, before anything is learnt."""
    checked(settings.lang)
    check_device(settings.device)
    if not manifest.classes:
        raise DataError(
            f"not one of the {len(manifest):,} pictures has a label",
            where=manifest.source or None,
            hint="a folder for each class, a table with columns path,label, or in shards a .cls or a JSON with `label`",
        )
    tell(Note(manifest.summary()))
    for line in manifest.understood.warnings:
        tell(Warn(line))
    if settings.split is not None:
        tell(Note(f"all {len(manifest)} pictures are split again as {settings.split}"))
        manifest = assign_splits(manifest, shares_of(settings.split), seed=settings.seed)
    pictures = len(manifest.part("train")) if "train" in manifest.splits else len(manifest)
    if settings.few is not None:
        pictures = min(pictures, settings.few * len(manifest.classes))
    weights = "none" if settings.weights is None else str(settings.weights)
    given = {"strategy": settings.strategy, "weights": weights}
    pixels = side(default("image_size", pictures, given) if settings.image_size is None else settings.image_size)
    built: dict[str, Any] = {
        "name": settings.model,
        "classes": manifest.classes,
        "weights": settings.weights,
        "seed": settings.seed,
        "image_size": pixels,
        "drop_path": settings.drop_path,
        "reading": _reading(manifest, settings, tell),
    }
    sized = False
    if pixels == AUTO:
        built["image_size"], sized = _chosen_side(manifest, settings, built, tell)
    settings = replace(settings, image_size=built["image_size"])
    backbone = zoo.build(**built)
    tell(Note(str(backbone.loaded) if backbone.loaded else f"{settings.model} starts from random weights"))
    order = stages(backbone.net)
    plan = make_plan(settings.strategy, order, settings.training, pictures=pictures, weights=weights)
    of_all = any(isinstance(phase, Solve) and phase.all_stages for phase in plan.phases)
    if of_all:
        backbone, order = _over_all_stages(backbone, len(manifest.classes), tell)
    _check_network(backbone, plan)
    _check_of_training(settings, plan)
    if "val" in manifest.splits and settings.val != FitOptions.val:
        tell(Warn("--val says nothing here: there is a val split"))
    drawn = settings.split is not None or "val" not in manifest.splits
    said = "val" in manifest.splits or settings.val != FitOptions.val or settings.few is not None
    judging = settings.folds if said else _folds(manifest, plan, settings)
    # The side was chosen before: by all pictures but those of a val split that there was, and of test.
    sized = sized and (judging is not None or "val" not in manifest.splits)
    manifest = _split(manifest, plan, settings, judging)
    if settings.few is not None:
        manifest = few(manifest, settings.few, seed=settings.seed)
    activations = _activations(backbone, settings, built, tell, alone=of_all)
    manifest = _readable(manifest, activations, plan.phases[0])
    _say_what_is_left_out(manifest, tell, "skipped.csv" if record.folder else "result_.skipped")
    for line in warnings_for(manifest):
        tell(Warn(line))
    train = manifest.part("train") if manifest.splits else manifest
    val = manifest.part("val") if "val" in manifest.splits else None
    context = PhaseContext(backbone.net, order, backbone.head, activations, train, val, settings.seed, tell)
    plan = with_crops(_feasible(plan, context, settings), context)
    if judging is not None and settings.folds is None and settings.schedule == "plateau":
        tell(Warn("--schedule plateau does nothing here: folds judge, and no val split is there to go by"))
    if val is None and judging is None and any(isinstance(phase, Train) for phase in plan.phases):
        manifest = with_validation(manifest, share=settings.val, seed=settings.seed)
        context = replace(context, train=manifest.part("train"), val=manifest.part("val"))
    if any(isinstance(phase, Train) and phase.recipe.l2sp for phase in plan.phases):
        context = replace(context, anchors={name: p.detach().clone() for name, p in backbone.net.named_parameters()})
    _say_what_cannot_be_judged(context)
    if drawn and isinstance(plan.phases[0], Solve) and (why := alike_neighbours.said_of(context)):
        tell(Warn(why))
    first, *later = plan.phases
    if first.line != order.names[0]:
        tell(Note(f"{first.name}: layers below {first.line} are frozen; their features are computed once per view"))
    if later:
        tell(Note(f"later phases: frost line under {', '.join(phase.line for phase in later)}"))
    facts = facts_of(plan, manifest, backbone, order.names, settings, judging)
    sizes = {name: parameter.numel() for name, parameter in backbone.net.named_parameters()}
    told = {
        "parameters": {stage.name: sum(sizes[name] for name in stage.parameters) for stage in order},
        "source": manifest.source,
        "data": manifest.understood.to_dict(),
        "command": command_of(manifest.source, settings),
        "machine": machine(),
    }
    split_off = not said and ("val" in manifest.splits or judging != settings.folds)
    return Job(settings, plan, manifest, context, backbone, facts, told, record, tell, begun, judging, split_off, sized)


def _over_all_stages(backbone: zoo.Backbone, classes: int, tell: Listener) -> tuple[zoo.Backbone, Stages]:
    """The backbone with a head over all its stages, and the stages by their new names.

    Raises: PlanError: it does not give what its stages see.
    """
    net = all_stages.AllStages(backbone.net, classes).eval()
    tell(Note(f"the head reads {sum(net.widths):,} features of {len(net.widths) - 1} stages and of the backbone's end"))
    tell(
        Note(
            "the model folder will be no plain timm folder: frostline opens it, and its graph, exports and "
            "`frostline predict` work as ever; the plain head is in it too, as net.*"
        )
    )
    head = Head(all_stages.HEAD, sum(net.widths))
    return replace(backbone, net=net, head=head), stages(net)


def _activations(
    backbone: zoo.Backbone, settings: Settings, built: Mapping[str, Any], tell: Listener, *, alone: bool = False
) -> Activations:
    """What reaches the lines of a network. alone: not computed on other machines, which would build another."""
    return Activations(
        backbone.net,
        settings.model,
        backbone.preprocessing,
        settings.store,
        settings.cache,
        settings.engine,
        settings.precision,
        tell,
        settings.device,
        elsewhere=settings.elsewhere(built) if settings.elsewhere and not alone else None,
        collected=open_device(settings.device).collected if launched_processes()[1] > 1 else None,
    )


def _chosen_side(
    manifest: Manifest, settings: Settings, built: Mapping[str, Any], tell: Listener
) -> tuple[int | None, bool]:
    def build(pixels: int | None) -> zoo.Backbone:
        return zoo.build(**{**built, "image_size": pixels})

    def features(backbone: zoo.Backbone) -> Activations:
        return _activations(backbone, settings, {**built, "image_size": backbone.preprocessing.size[0]}, tell)

    most = allowed_work(settings.budget) if settings.image_size is None else None
    return chosen_side(build, features, manifest, settings, tell, most=most)


def _reading(manifest: Manifest, settings: Settings, tell: Listener) -> Reading:
    """How pictures are read: decided by all that are not of the test split."""
    found = survey(
        [row for row in manifest.rows if row.split != "test"],
        asked(intensity=settings.intensity, bands=settings.bands, background=settings.background),
        progress=lambda done, total: tell(Work("values", done, total)),
    )
    for line in found.notes:
        tell(Note(line))
    for line in found.warnings:
        tell(Warn(line))
    return found.reading


def _check_of_training(settings: Settings, plan: Plan) -> None:
    """Refuse what only a phase that trains has a use for, where there is none.

    Raises: PlanError: it is given.
    """
    if any(isinstance(phase, Train) for phase in plan.phases):
        return
    if idle := [OPTIONS[name].flag for name in ("drop_path", "track") if getattr(settings, name)]:
        raise PlanError(
            f"the strategy {settings.strategy!r} has no use for {', '.join(idle)}",
            where=f"--strategy {settings.strategy}",
            hint="leave that out, or take a strategy that trains",
        )


def _check_network(backbone: zoo.Backbone, plan: Plan) -> None:
    """Refuse what this network cannot be put through, in words that name what works.

    Raises: HeadError: several heads read more than one vector. PlanError: one picture a batch is batch-normalised.
    """
    head, net = backbone.head, backbone.net
    if head.others and any(phase.line == HEAD for phase in plan.phases):
        try:
            cut(net, HEAD)
        except StageError:
            raise HeadError(
                f"{backbone.name} has {len(head.paths)} heads, {', '.join(head.paths)}, and each reads features of its "
                f"own: the strategy {plan.strategy!r} would train one head over one vector",
                where="--strategy",
                hint="take --strategy full or discriminative, which train all of it, or a model of one head",
            ) from None
    alone = [p for p in plan.phases if isinstance(p, Train) and p.recipe.batch_size == 1 and p.line != HEAD]
    normalised = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in net.modules())
    if normalised and any(phase.recipe.frozen_norm != "hold-all" for phase in alone):
        raise PlanError(
            f"one picture a batch has no statistics, and {backbone.name} normalises each batch by its own (BatchNorm)",
            where="--batch-size",
            hint="take --batch-size 2 or more, or keep the pretrained statistics: --frozen-norm hold-all",
        )


def _folds(manifest: Manifest, plan: Plan, settings: Settings) -> int | None:
    """The folds that are asked for; or those that judge the phases where a fifth of the pictures were too few to.

    They cost more than twice the training, so only where training costs little.
    """
    if settings.folds is not None or plan.keep == "always":
        return settings.folds
    learning = manifest.part("train") if "train" in manifest.splits else manifest
    if len(learning) >= FEW:
        return None
    try:
        parts = [learns for learns, _ in folds(learning, _FOLDS, seed=settings.seed)]
    except DataError:  # fewer units than folds
        return None
    labels = [{label for number in learns for label in learning.rows[number].labels} for learns in parts]
    return _FOLDS if min(map(len, labels)) > 1 else None


def _split(manifest: Manifest, plan: Plan, settings: Settings, judging: int | None) -> Manifest:
    """A val split, unless the source has one or nothing in the plan needs it."""
    if judging is not None:
        if judging < 2:
            raise PlanError(f"there must be at least 2 folds, not {judging}", where="--folds")
        rows = (replace(row, split="train") if row.split == "val" else row for row in manifest.rows)
        return replace(manifest, rows=tuple(rows))
    if "val" in manifest.splits:
        return manifest
    # A solved head is judged out of fold, so that it may learn from every picture, unless a share is asked for.
    if all(isinstance(phase, Solve) for phase in plan.phases) and settings.val == FitOptions.val:
        return manifest
    return with_validation(manifest, share=settings.val, seed=settings.seed)


def _say_what_is_left_out(manifest: Manifest, tell: Listener, listed: str) -> None:
    if manifest.skipped:
        files = sum(item.pictures for item in manifest.skipped)
        tell(Warn(f"{files:,} files are left out; {listed} names them"))
        for line in kinds.left_out(item.reason for item in manifest.skipped):
            tell(Warn(line))


def _say_what_cannot_be_judged(context: PhaseContext) -> None:
    seen = context.val.counts() if context.val is not None else {}
    counts, drawn = context.train.counts(), units_of(context.train)
    bound = [name for name in counts if drawn[name] == 1 and not seen.get(name)]
    if alone := [repr(name) for name in bound if counts[name] == 1]:
        what = "1 class has" if len(alone) == 1 else f"{len(alone)} classes have"
        context.listen(Warn(f"{what} one picture to learn from, and cannot be judged: {first_few(alone)}"))
    joint = [repr(name) for name in bound if counts[name] > 1]
    if joint and not context.train.multilabel:  # of several labels each picture judges every class
        what = "1 class has" if len(joint) == 1 else f"{len(joint)} classes have"
        context.listen(Warn(f"{what} pictures of one group or copies only, and cannot be judged: {first_few(joint)}"))


def _readable(manifest: Manifest, activations: Activations, first: Phase) -> Manifest:
    """The manifest without pictures that cannot be decoded, found by filling the first shelf that will be needed."""
    learning = tuple(row for row in manifest.rows if row.split != "test")
    line = first.line if isinstance(first, Solve) or first.stored else BOTTOM
    _, skipped = activations.at(line, learning, EvaluationView(activations.preprocessing), what="pictures")
    manifest = manifest.without(skipped)
    manifest.require_usable()
    return manifest


def _feasible(plan: Plan, context: PhaseContext, settings: Settings) -> Plan:
    """The plan, with a head that cannot be solved trained instead."""
    if not any(isinstance(phase, Solve) for phase in plan.phases) or solvable(context):
        return plan
    context.listen(
        Warn(f"the head {context.head.path!r} is not one linear layer over one vector: it is trained instead")
    )
    recipe = make_recipe({**settings.training, "views": 1}, pictures=len(context.train))
    trained = Train("probe", rates_of(rates(context.stages, head=1e-3)), _HEAD_EPOCHS, recipe)
    return replace(plan, phases=tuple(trained if isinstance(phase, Solve) else phase for phase in plan.phases))
