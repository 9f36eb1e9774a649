"""Files of a dataset lie in its folder: a dataset from elsewhere must not show what else lies on this machine."""

from collections.abc import Iterable
from pathlib import Path

from utils.errors import DataError


def require_inside(root: Path, paths: Iterable[Path | None], follow_links: bool) -> None:
    """Raises DataError where a path below `root` is, or leads through, a link to a place outside; None is left out.

    follow_links: `dataset.follow_links`, which allows that."""
    if follow_links:
        return
    inside = root.resolve()
    for path in paths:
        if path is not None and not path.resolve().is_relative_to(inside):
            raise DataError(
                f"{path}: is a link to {path.resolve()}, outside of the dataset folder. If you made it yourself, set "
                f"dataset.follow_links=true; otherwise look at what you were given."
            )
