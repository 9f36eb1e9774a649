"""A page of a small model, and somebody who visits it."""

import pytest
from patience import until
from scripted_visitor import ScriptedVisitor
from timed_session import TimedSession
from viewed_scene import make_viewed_model

from systems.viewer.address import find_address
from systems.viewer.page import ViserPage
from systems.viewer.requests import Mailbox


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    return make_viewed_model(tmp_path_factory.mktemp("viewed"))


@pytest.fixture
def page(subject):
    opened = ViserPage(subject, Mailbox(), find_address("127.0.0.1", 0), range(101), live=True)
    yield opened
    opened.close()


@pytest.fixture
def visitor(page):
    with ScriptedVisitor(page.address.port) as found:
        found.stand((0.0, -3.0, 0.0))
        until(lambda: any(one.camera is not None for one in page.mailbox.visitors().values()))
        yield found


@pytest.fixture
def viewed(subject, monkeypatch):
    return TimedSession(subject, monkeypatch)
