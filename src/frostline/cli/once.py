"""Options are given once: of two of one name the last would win, and nobody would see which."""

from collections import Counter
from typing import Any

from typer.core import TyperCommand

from frostline.errors import PlanError


class Once(TyperCommand):
    """A command that takes no option twice, but for those of which there may be several (--allow-host)."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As every command; ctx: where it stands. args: the words behind its name.

        Raises: PlanError: an option is given twice.
        """
        if not ctx.resilient_parsing:  # of a shell that asks how a word goes on
            _, _, order = self.make_parser(ctx).parse_args(args=list(args))
            given = Counter(id(option) for option in order if option.param_type_name == "option")
            several = (one for one in order if given[id(one)] > 1 and not (one.multiple or one.is_eager))
            if (twice := next(several, None)) is not None:
                raise PlanError(
                    f"{max(twice.opts, key=len)} is given {given[id(twice)]} times",
                    where=ctx.command_path,
                    hint="give it once, several values joined by commas where it takes several",
                )
        return super().parse_args(ctx, args)
