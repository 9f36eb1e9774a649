"""Random key=value overrides of a config, with values that it takes and values that it must refuse."""

import json
import random
from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from utils.config.limits import FolderName, OneOf, Range, limits_of
from utils.config.schedule import Schedule

NO_NUMBERS = ("abc", ".nan", ".inf", "-.inf", "[1]", "{a: 1}", "true", "1e400", '"3"', "[[]]")
SPAN = 8.0  # how far from its lower bound a number is drawn where a run must stay small


def draw(rng: random.Random, keys: Sequence[tuple[str, Any]], small: bool = False) -> tuple[list[str], bool]:
    """One or two overrides of keys with their types, and whether each value is one that its key takes.

    small: numbers lie near their lower bounds, so that a training with them takes little time and memory."""
    valid = rng.random() < 0.5
    chosen = rng.sample(keys, rng.choice((1, 1, 2)))
    # of a pair that is not valid only the first
    texts = [_value(rng, hint, valid or index > 0, small) for index, (_, hint) in enumerate(chosen)]
    return [f"{key}={text}" for (key, _), text in zip(chosen, texts, strict=True)], valid


def _value(rng: random.Random, hint: Any, valid: bool, small: bool) -> str:
    choices = list(_taken(rng, hint, small) if valid else _refused(rng, hint))
    return rng.choice(choices)


def _taken(rng: random.Random, hint: Any, small: bool) -> Iterator[str]:
    """Values that a type takes, as they are written on a command line."""
    origin, inner, plain = get_origin(hint), get_args(hint), _plain(hint)
    if plain in (int, float, Schedule):
        number = _number(rng, hint, small)
        yield number
        if plain is Schedule:
            yield f"[0,{number},{_number(rng, hint, small)},5]"
            yield f"[[0,{number}],[1,{_number(rng, hint, small)}]]"
    elif plain is bool:
        yield from ("true", "false")
    elif plain is str:
        names = [name for limit in limits_of(hint) if isinstance(limit, OneOf) for name in limit.known]
        yield from names or ("x", "a-b.c", "12")
    elif origin is Literal:
        yield from ("null" if name is None else str(name) for name in inner)
    elif origin in (Union, UnionType):
        for option in inner:
            yield from ("null",) if option is type(None) else _taken(rng, option, small)
    elif origin is tuple:
        parts = [next(_taken(rng, inner[0], small)) for _ in range(2)]
        yield f"[{','.join(parts[: 1 if inner[-1] is Ellipsis else 2])}]"


def _refused(rng: random.Random, hint: Any) -> Iterator[str]:
    """Values that a type does not take."""
    origin, inner, plain = get_origin(hint), get_args(hint), _plain(hint)
    if plain in (int, float, Schedule):
        limit = next(limit for limit in limits_of(hint) if isinstance(limit, Range))
        yield from (text for text in NO_NUMBERS if plain is not Schedule or text not in ("[[]]",))
        yield from ("0.5",) if plain is int else ()
        for end, sign in ((limit.low, -1), (limit.above, -1), (limit.high, 1), (limit.below, 1)):
            if end is not None:
                yield from map(str, (end + sign, end + sign * 1000, sign * 10**12))
    elif plain is bool:
        yield from ("3", "maybe", "null", "[true]")
    elif plain is str:
        yield from ("true", "null", "[x]", '"a\\0b"', "x" * 300)
        if any(isinstance(limit, FolderName) for limit in limits_of(hint)):
            yield from ("../x", "a/b", "..", "a b")
        if any(isinstance(limit, OneOf) for limit in limits_of(hint)):
            yield from ("objj", "''")
    elif origin is Literal:
        yield from ("nope", "[1]", "3.5", "{a: b}")
    elif origin in (Union, UnionType):
        both = [list(_refused(rng, option)) for option in inner if option is not type(None)]
        yield from (text for text in both[0] if text != "null" and all(text in others for others in both[1:]))
        yield "{a: {b: 1}}"
    elif origin is tuple:
        wrong = rng.choice([text for text in _refused(rng, inner[0]) if text != "null"])
        yield from (f"[{wrong}]", "{a: 1}", "3")


def _plain(hint: Any) -> Any:
    return get_args(hint)[0] if limits_of(hint) else hint


def _number(rng: random.Random, hint: Any, small: bool) -> str:
    limit = next(limit for limit in limits_of(hint) if isinstance(limit, Range))
    low = limit.low if limit.low is not None else limit.above
    high = limit.high if limit.high is not None else limit.below
    share = rng.random()
    number = low + share * min(high - low, SPAN if small else high - low)
    if not small and rng.random() < 0.3:
        number = rng.choice([end for end in (limit.low, limit.high) if end is not None] or [number])
    return json.dumps(round(number) if _plain(hint) is int else float(number) if number not in (low, high) else number)
