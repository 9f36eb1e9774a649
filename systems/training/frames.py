"""Writes the pictures of a pass, and the video that they make, while the next views are rendered."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from math import fsum
from operator import attrgetter
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import numpy as np

from systems.training.evaluation import RenderedView
from utils.files import BestEffortWrites
from utils.images import write_png
from utils.terminal.at_work import at_work
from utils.terminal.count_bar import CountBar

MAX_WORKERS = 8  # views that are made pictures of at a time
MOST_VIEWS = 4  # that wait beside a training
MAX_WAITING_BYTES = 2**30  # of the views that wait, where these are large: then few do
_END, _DROP = object(), object()  # behind the last frame; where the rest does not come


class _DroppedError(Exception):
    """The rest of the frames does not come."""


class WritingBeside:
    """Writes the panels of validation views, and shows them in TensorBoard, while the training goes on.

    A folder that is full is told, not raised, see `BestEffortWrites`."""

    def __init__(self, name: str, best_effort: BestEffortWrites) -> None:
        """name: of the pass."""
        self._name, self._best_effort = name, best_effort
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()

    def add(self, view: RenderedView, path: Path, show: Callable[[str, Path], None]) -> None:
        """Waits where MOST_VIEWS views wait already. Raises what writing an earlier one raised."""
        self.finish(MOST_VIEWS - 1)
        self._waiting.append(self._pool.submit(self._write, view, path, show))

    def finish(self, left: int = 0) -> None:
        """Waits until so many views are left. Raises what writing one raised."""
        while len(self._waiting) > left:
            self._waiting.popleft().result()

    def _write(self, view: RenderedView, path: Path, show: Callable[[str, Path], None]) -> None:
        with self._best_effort("validation views"):
            write_png(path, view.panel)
            show(self._name, path)


class FrameWriter:
    """Takes rendered views in the order of the video; pictures are compressed, and frames encoded, by other threads.

    Call `finish` at the end, or `drop` after an error. `add` waits where too many views wait already."""

    def __init__(
        self,
        video: Callable[[Iterator[np.ndarray]], None] | None = None,
        picture: Callable[[RenderedView], np.ndarray] = attrgetter("panel"),
    ) -> None:
        """video: takes the frames (H, W', 3) uint8 as they come, in a thread of its own; None: there is no video.
        picture: makes the frame, and what is in the file, of a view."""
        self._picture = picture
        self._video = video or deque(maxlen=0).extend
        self._workers = min(MAX_WORKERS, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._workers)
        self._arriving: Queue[Future[np.ndarray] | object] = Queue()
        self._thread: Thread | None = None
        self._error: BaseException | None = None
        self._begun, self._seconds = time.perf_counter(), 0.0
        self._kept: list[tuple[Path, dict[str, float]]] = []  # files, and the metrics of what they show
        self._shown: tuple[str, ...] = ()
        self._sharpness: list[float] = []  # in any order
        self._ended = False  # whether the thread has taken the last entry

    @property
    def num_files(self) -> int:
        """How many views have had a file."""
        return len(self._kept)

    def figures(self, folder: Path) -> dict[str, Any]:
        """views_seconds: from the start to the end of `finish`; held_out: the names of the pictures in a panel, from
        left to right, and the files in a folder with their metrics; sharpness: the mean of the views', see there."""
        files = [{"file": path.relative_to(folder).as_posix(), **metrics} for path, metrics in self._kept]
        sharp = {"sharpness": round(fsum(self._sharpness) / len(self._sharpness), 4)} if self._sharpness else {}
        return {
            "views_seconds": round(self._seconds, 2),
            **sharp,
            "held_out": {"panel": list(self._shown), "views": files},
        }

    def add(self, view: RenderedView, path: Path | None = None) -> None:
        """A view, and the PNG file for its panel, if it has one. Raises what an earlier frame, or the video, raised."""
        if self._error is not None:
            raise self._error
        if self._thread is None:
            size = sum(image.nbytes for image in view.images.values())
            self._arriving = Queue(max(1, min(2 * self._workers, MAX_WAITING_BYTES // size)))
            self._thread = Thread(target=self._write, daemon=True)
            self._thread.start()
        self._shown = view.shown
        self._kept += [] if path is None else [(path, view.metrics)]
        self._arriving.put(self._pool.submit(self._made, view, path))

    def add_all(self, views: Iterable[RenderedView], num: int) -> None:
        """Adds the `num` frames of a trajectory as they are rendered, and shows how far that is; then waits."""
        progress = CountBar("frames of the trajectory", num)
        for index, view in enumerate(views):
            self.add(view)
            progress(index + 1)
        self.finish()

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Around work that goes on while the rest is written; at its end, as `finish`."""
        with ThreadPoolExecutor(1) as beside:
            written = beside.submit(self.finish)
            yield
        written.result()

    def finish(self) -> None:
        """Waits until everything is written. Raises what writing raised."""
        with at_work("pictures and video"):
            self._end(_END)
        self._seconds = time.perf_counter() - self._begun
        if self._error is not None:
            raise self._error

    def drop(self) -> None:
        """Ends without the rest: a video that has begun is not kept. Raises nothing; does nothing once it has ended."""
        self._end(_DROP)

    def _end(self, mark: object) -> None:
        if self._thread is not None:
            self._arriving.put(mark)
            self._thread.join()
            self._thread = None
        self._pool.shutdown(cancel_futures=True)

    def _write(self) -> None:
        """Makes the video; after an error, takes what still comes, so that nobody waits to hand it over."""
        frames = self._frames()
        try:
            self._video(frames)
            deque(frames, maxlen=0)  # whatever the video has not asked for
        except _DroppedError:
            return
        except BaseException as error:  # any: `add` or `finish` raise it where the views are rendered
            self._error = error
        frames.close()
        while not self._ended:
            self._next()

    def _next(self) -> object:
        item = self._arriving.get()
        self._ended = item is _END or item is _DROP
        return item

    def _frames(self) -> Iterator[np.ndarray]:
        while (item := self._next()) is not _END:
            if item is _DROP:
                raise _DroppedError
            yield item.result()

    def _made(self, view: RenderedView, path: Path | None) -> np.ndarray:
        picture = self._picture(view)
        self._sharpness += [] if view.sharpness is None else [view.sharpness]
        if path is not None:
            write_png(path, picture)
        return picture
