"""Write a page to disk, whole or not at all."""

from contextlib import suppress
from pathlib import Path

from frostline.errors import DataError


def write_html(text: str, place: Path) -> None:
    """Write a page's HTML as UTF-8; what a file name has that is no text becomes an escape.

    Raises: DataError: it cannot be written; what was there before is as it was.
    """
    fresh = place.with_name(f"{place.name}.tmp")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text, encoding="utf-8", errors="backslashreplace")
        fresh.replace(place)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise DataError(
            f"the page cannot be written: {error.strerror}", where=place, hint="name another file with --out"
        ) from None
