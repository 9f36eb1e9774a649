"""Where the viewer listens, and what is said where it cannot."""

import logging
import socket

import pytest

from systems.viewer import address
from systems.viewer.address import Address, find_address, is_loopback, parse_port
from utils.errors import ConfigError


@pytest.mark.parametrize(("text", "port"), [("", 8080), ("0", 0), ("65535", 65535)])
def test_a_port_is_read(text, port):
    assert parse_port(text) == port


@pytest.mark.parametrize("text", ["65536", "-1", "http", "80.5", "²"])
def test_what_is_no_port_is_refused(text):
    with pytest.raises(ConfigError, match="expected a port from 0 to 65535"):
        parse_port(text)


def test_a_port_in_use_gives_way_to_the_next_and_that_is_said(caplog):
    with socket.socket() as taken, caplog.at_level(logging.WARNING):
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = find_address("127.0.0.1", port)
    assert port < found.port < port + address.NUM_TRIED
    assert f"port {port} is in use, so the page is at port {found.port}" in caplog.text


def test_no_free_port_is_an_error(monkeypatch):
    monkeypatch.setattr(address, "NUM_TRIED", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="in use"):
            find_address("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_refused(host):
    with pytest.raises(ConfigError, match="cannot listen there"):
        find_address(host, 0)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setattr(address, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install viser"):
        find_address("127.0.0.1", 0)


@pytest.mark.parametrize(
    ("host", "local", "url"),
    [
        ("127.0.0.1", True, "http://127.0.0.1:80"),
        ("localhost", True, "http://localhost:80"),
        ("::1", True, "http://[::1]:80"),
        ("0.0.0.0", False, "http://127.0.0.1:80"),
        ("lab.example.org", False, "http://lab.example.org:80"),
    ],
)
def test_who_reaches_a_host(host, local, url):
    assert is_loopback(host) == local
    assert (Address(host, 80).is_local, Address(host, 80).url) == (local, url)
