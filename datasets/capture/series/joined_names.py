"""The names that the images of several series have when they lie in one folder."""

from collections import Counter
from collections.abc import Mapping, Sequence


def joined_names(series: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    """The new names of the images of each series, by their own ones.

    series: the names of the images of each series, by its label. They stay as they are where no two series have one in
    common, in upper or lower case; else all get the label of their series in front."""
    counts = Counter(name.casefold() for names in series.values() for name in names)
    if max(counts.values(), default=0) <= 1:
        return {label: {name: name for name in names} for label, names in series.items()}
    return {label: {name: f"{label}_{name}" for name in names} for label, names in series.items()}
