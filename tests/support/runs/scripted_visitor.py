"""A visitor of the viewer without a browser: it speaks to the websocket as the page does."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import msgspec
import numpy as np
import viser
import zstandard
from patience import PATIENCE
from viser.transforms import SO3
from websockets.sync.client import connect

WINDOW = 640, 480  # pixels


class ScriptedVisitor:
    """A connection to the page at a port of this machine. Messages are read when a method waits for them."""

    def __init__(self, port: int, origin: str | None = None, host: str = "127.0.0.1") -> None:
        """origin: the site that a browser would name as the page's own. Raises OSError if no server listens."""
        self.messages: list[dict[str, Any]] = []  # all that arrived
        self._waiting: deque[dict[str, Any]] = deque()  # those that `listen` has not returned yet
        protocols = [f"viser-v{viser.__version__}"]
        options = {"origin": origin, "subprotocols": protocols, "compression": None, "max_size": None}
        options |= {"open_timeout": PATIENCE, "ping_interval": None}
        self.socket = connect(f"ws://{host}:{port}", **options)

    def __enter__(self) -> "ScriptedVisitor":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.socket.close()

    def send(self, kind: str, **fields: Any) -> None:
        """Sends a message of viser's protocol."""
        self.socket.send(msgspec.msgpack.encode({"type": kind, **fields}))

    def stand(self, position: tuple[float, float, float], size: tuple[int, int] = WINDOW) -> None:
        """Moves the camera to a position in the scene and turns it to the origin; up is +z."""
        place = np.array(position, np.float64)
        forward = -place / np.linalg.norm(place)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward], axis=1)
        self.send(
            "ViewerCameraMessage",
            wxyz=SO3.from_matrix(rotation).wxyz.tolist(),
            position=place.tolist(),
            fov=0.8,
            near=0.01,
            far=1000.0,
            image_height=size[1],
            image_width=size[0],
            look_at=[0.0, 0.0, 0.0],
            up_direction=[0.0, 0.0, 1.0],
        )

    def listen(self, seconds: float) -> Iterator[dict[str, Any]]:
        """The messages that arrive within `seconds`, each once. Raises ConnectionClosed."""
        end = time.perf_counter() + seconds
        while self._waiting or time.perf_counter() < end:
            while self._waiting:
                yield self._waiting.popleft()
            try:
                arrived = unpacked(self.socket.recv(max(end - time.perf_counter(), 0.0)))
            except TimeoutError:
                return
            self._waiting.extend(arrived)
            self.messages.extend(arrived)

    def wait_for(self, accepted: Callable[[dict[str, Any]], bool], seconds: float = PATIENCE) -> dict[str, Any]:
        """The next message that is accepted. Raises TimeoutError."""
        for message in self.listen(seconds):
            if accepted(message):
                return message
        raise TimeoutError(f"no message was accepted within {seconds:g} s")

    def wait_for_picture(self, seconds: float = PATIENCE) -> None:
        """Waits for another rendered picture. Raises TimeoutError."""
        self.wait_for(
            lambda message: message["type"] == "BackgroundImageMessage" and bool(message["rgb_data"]), seconds
        )

    def control(self, label: str, seconds: float = PATIENCE) -> str:
        """The number of a button, box or slider. Raises TimeoutError."""

        def is_it(message: dict[str, Any]) -> bool:
            return message.get("props", {}).get("label") == label

        return (next(filter(is_it, self.messages), None) or self.wait_for(is_it, seconds))["uuid"]

    def value(self, label: str, accepted: Callable[[Any], bool], seconds: float = PATIENCE) -> Any:
        """The value of a control, as soon as `accepted` is true of it. Raises TimeoutError."""
        uuid = self.control(label)

        def is_it(message: dict[str, Any]) -> bool:
            return message.get("uuid") == uuid and accepted(_value(message))

        own = [message for message in self.messages if message.get("uuid") == uuid]
        return _value(own[-1] if is_it(own[-1]) else self.wait_for(is_it, seconds))

    def set(self, label: str, value: Any) -> None:
        """Presses a button (True), ticks a box, moves a slider, chooses in a list."""
        self.send("GuiUpdateMessage", uuid=self.control(label), updates={"value": value})


def _value(message: dict[str, Any]) -> Any:
    """What a control had when it was made, or has become."""
    return message.get("updates", message).get("value")


def unpacked(data: bytes) -> list[dict[str, Any]]:
    """The messages of a packet as viser sends it; pictures in them stay references."""
    size = int.from_bytes(data[8:16], "little")
    return msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(data[16 : 16 + size]))["messages"]
