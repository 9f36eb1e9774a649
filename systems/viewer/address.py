"""Finds the address for the viewer, before anything slow begins and without importing viser."""

import errno
import ipaddress
import logging
import socket
from dataclasses import dataclass
from importlib.util import find_spec

from utils.errors import ConfigError

log = logging.getLogger(__name__)
PORT = 8080
NUM_TRIED = 100  # ports, from the requested one on


@dataclass(frozen=True)
class Address:
    """A host, and a port that was free when it was checked."""

    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def url(self) -> str:
        """The URL for a browser. 0.0.0.0 listens on every network card, but a browser needs a real address."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_port(text: str, flag: str = "--view") -> int:
    """The port given to a flag, PORT if none is given; 0 stands for any free port. Raises ConfigError."""
    if not text:
        return PORT
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise ConfigError(f"{flag} {text}: expected a port from 0 to 65535, such as {PORT}.")
    return int(text)


def find_address(host: str, port: int, flags: tuple[str, str] = ("--view", "--view_host")) -> Address:
    """The first free port from the requested one on, with a warning if that is another one; 0 takes any free port.

    flags: which ones of the command line the port and the host were given to.
    Raises ConfigError if the host is no address of this machine, no port is free or allowed, or viser is missing."""
    if find_spec("viser") is None:
        raise ConfigError("the viewer needs the package viser, which is not installed: pip install viser")
    for tried in range(port, min(port + NUM_TRIED, 65536)) if port else [0]:
        try:
            family, *_, endpoint = socket.getaddrinfo(host, tried, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(endpoint)
                free_port = probe.getsockname()[1]
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise ConfigError(
                f"{flags[0]} {port} {flags[1]} {host}: cannot listen there: {error.strerror}. Give an address of this "
                f"machine, such as 127.0.0.1, and a port from 1024 on."
            ) from None
        if port and free_port != port:
            log.warning("viewer: port %d is in use, so the page is at port %d", port, free_port)
        return Address(host, free_port)
    raise ConfigError(
        f"{flags[0]} {port}: the {NUM_TRIED} ports from {port} on are in use. Give another port, or 0 for any free one."
    )
