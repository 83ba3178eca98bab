"""Write a page to disk, whole or not at all."""

from pathlib import Path

from frostline import atomic
from frostline.errors import DataError


def write_html(text: str, place: Path, *, option: str = "--out") -> None:
    """Write a page's HTML as UTF-8; what a file name has that is no text becomes an escape.

    option: of the command, that names the file.

    Raises: DataError: it cannot be written; what was there before is as it was.
    """
    try:
        atomic.write(place, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise DataError(
            f"the page cannot be written: {atomic.reason(error)}", where=place, hint=f"name another file with {option}"
        ) from None
