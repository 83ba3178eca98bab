"""Learn from the pictures that were held out to choose by, once the choice is made.

Where a val split was split off here, its pictures are lost to a head that no deeper phase betters. Such a head is
fitted once more, to all of them, and judged out of fold as `--strategy probe` is (AutoGluon's ``refit_full``).
"""

import time
from dataclasses import replace

from frostline.events import Note
from frostline.judge.result import PhaseRow
from frostline.run.best_so_far import BestSoFar, held_out
from frostline.run.model_selection import share_right
from frostline.run.provenance import counted
from frostline.run.resolve import Job
from frostline.run.solve_phase import solve_head
from frostline.train.plan import Solve

NAME = "refit"


def refit(job: Job, best: BestSoFar) -> Job:
    """The job whose val split is empty again, with `best` the head that was fitted to its pictures too.

    The same job where it does not apply: val is the user's own or was asked for, a phase that trains was kept, or the
    run was interrupted. The network is left as the best one.
    """
    context = job.context
    kept = [phase for phase, row in zip(job.plan.phases, best.rows, strict=False) if row.kept]
    solved = [phase for phase in kept if isinstance(phase, Solve)]
    if not job.split_off or context.val is None or best.interrupted or len(solved) < len(kept):
        return job
    began = time.monotonic()
    rows = tuple(replace(row, split="train") if row.split == "val" else row for row in job.manifest.rows)
    manifest = replace(job.manifest, rows=rows)
    train = manifest.part("train")
    job.tell(Note(f"nothing deeper is kept: the head learns from the {len(context.val)} val pictures too"))
    facts = {name: value for name, value in job.facts.items() if name != "units"}
    whole = replace(
        job,
        manifest=manifest,
        context=replace(context, train=train, val=None),
        facts=facts | counted(manifest),
    )
    for phase in solved:
        result = solve_head(whole.context, phase)
    job.record.training(train)
    best.take(context.net, result, None)
    judged = held_out(whole, best)
    figure = None if judged is None else share_right(judged[1], judged[0])
    why = f"fitted to all {len(train)} pictures, judged by cross-validation"
    seconds = time.monotonic() - began
    best.rows.append(PhaseRow(NAME, kept[-1].line, figure, seconds, True, why, 0, "", result.trainable))
    return whole
