"""Options that were given and would do nothing: refused, never passed over."""


def refuse(*, without: str = "", beside: str = "", **given: bool) -> None:
    """Refuse the first of these options that was given another value than its default.

    without, beside: the option that they need, or that leaves nothing to them. given: whether it was, by parameter.

    Raises: PlanError: one was.
    """
    from frostline.data.places.place_options import option
    from frostline.errors import PlanError

    if (name := next((name for name, is_given in given.items() if is_given), None)) is not None:
        said = f"without {without}" if without else f"beside {beside}"
        hint = f"leave {option(name)} out" + (f", or give {without}" if without else "")
        raise PlanError(f"{option(name)} does nothing {said}", where=option(name), hint=hint)
