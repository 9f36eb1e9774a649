"""As much of Ray as a sweep asks for, with threads of one process in place of its actors."""

import types
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any

_threads = ThreadPoolExecutor(8)
exceptions = types.SimpleNamespace(RayError=RuntimeError, RayTaskError=RuntimeError)
cloudpickle = types.SimpleNamespace(register_pickle_by_value=lambda module: None)


class _Method:
    def __init__(self, method: Any) -> None:
        self._method = method

    def remote(self, *args: Any) -> Future:
        return _threads.submit(self._method, *args)


class _Actor:
    def __init__(self, made: Any) -> None:
        self._made = made

    def __getattr__(self, name: str) -> _Method:
        return _Method(getattr(self._made, name))


class _Class:
    def __init__(self, kind: type) -> None:
        self._kind = kind

    def options(self, **_: Any) -> "_Class":
        return self

    def remote(self) -> _Actor:
        return _Actor(self._kind())


def remote(kind: type) -> _Class:
    return _Class(kind)


def wait(refs: list[Future], num_returns: int = 1, timeout: float = 0.0) -> tuple[list[Future], list[Future]]:
    done, left = wait_for(refs, timeout=timeout, return_when=FIRST_COMPLETED)
    return list(done), list(left)


def get(ref: Future) -> Any:
    return ref.result()


def cluster_resources() -> dict[str, float]:
    return {"CPU": 1.0}


def nodes() -> list[dict[str, bool]]:
    return [{"Alive": True}]


def init(**_: Any) -> None:
    _threads.submit(int).result()


def kill(actor: _Actor) -> None:
    del actor


def shutdown() -> None:
    _threads.shutdown()
