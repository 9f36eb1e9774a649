"""Where the viewer listens: checked before anything slow begins, free of the library that serves the page."""

import errno
import ipaddress
import logging
import socket
from dataclasses import dataclass
from importlib.util import find_spec

from utils.errors import ConfigError

log = logging.getLogger(__name__)
PORT = 8080
TRIED = 100  # ports from the wanted one on


@dataclass(frozen=True)
class Address:
    """A host and a port that was free a moment ago."""

    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine reaches it."""
        return is_loopback(self.host)

    @property
    def url(self) -> str:
        """What a browser is given; on every network card listens 0.0.0.0, which is no address to go to."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_port(text: str) -> int:
    """The port that --view names, PORT for none; 0 for any that is free. Raises ConfigError."""
    if not text:
        return PORT
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise ConfigError(f"--view {text}: expected a port from 0 to 65535, such as {PORT}.")
    return int(text)


def find_address(host: str, port: int) -> Address:
    """The first free port from the wanted one on, which is said where it is another; 0 is any.

    Raises ConfigError where the host is not one of this machine, no port is free or allowed, or the library is
    missing."""
    if find_spec("viser") is None:
        raise ConfigError("--view: the viewer needs the package viser, which is not installed: pip install viser")
    for tried in range(port, min(port + TRIED, 65536)) if port else [0]:
        try:
            family, *_, place = socket.getaddrinfo(host, tried, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
                found = probe.getsockname()[1]
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise ConfigError(
                f"--view {port} --view_host {host}: cannot listen there: {error.strerror}. Give an address of this "
                f"machine, such as 127.0.0.1, and a port from 1024 on."
            ) from None
        if port and found != port:
            log.warning("viewer: port %d is in use, so the page is at port %d", port, found)
        return Address(host, found)
    raise ConfigError(f"--view {port}: the {TRIED} ports from there on are in use. Name another, or 0 for any.")
