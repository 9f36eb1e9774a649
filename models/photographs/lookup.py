"""Rows of what is learned for each photograph, for the rays of a step."""

from torch import Tensor


def rows_of(table: Tensor, index: Tensor) -> Tensor:
    """(R, ...) the rows of table (N, ...) at index (R,) int64, like table[index], for a gradient that adds many rays to
    few rows. That of table[index] adds those of one row one after the other: 0.7 ms for 8192 rays of one camera on an
    H200, against 3.3 ms for a whole step."""
    flat = table.reshape(len(table), -1)
    return flat.gather(0, index[:, None].expand(-1, flat.shape[1])).view(len(index), *table.shape[1:])
