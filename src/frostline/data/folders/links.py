"""One folder under two names, by a link: in two classes or two splits its pictures would contradict themselves."""

from pathlib import Path

from frostline.data.places.tree import Folder
from frostline.errors import DataError, one_line


def check_links(here: Folder, where: Path) -> None:
    """Notice a folder of pictures that is reached in two ways. where: the place that was looked through.

    Raises: DataError: one is, with the option that leaves the link out.
    """
    seen = dict[tuple[int, int], Folder]()
    for folder in here.walk():
        if not folder.count:
            continue
        status = folder.path.stat()
        other = seen.setdefault((status.st_dev, status.st_ino), folder)
        if status.st_ino and other is not folder:
            link, real = (other, folder) if other.path.is_symlink() else (folder, other)
            raise DataError(
                f"{one_line(link.name)!r} and {one_line(real.name)!r} are one folder under two names",
                where=where,
                hint=f"leave one out: --ignore {one_line(link.name)!r}",
            )
