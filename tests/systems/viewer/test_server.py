"""What pages can do to the server, and what they cannot: spoken to as a browser speaks, without one."""

import time
from dataclasses import replace
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from patience import PATIENCE, until
from scripted_visitor import ScriptedVisitor
from viewed_scene import FRONT
from websockets.exceptions import ConnectionClosed

from systems.viewer.address import find_address
from systems.viewer.page import ViserPage
from systems.viewer.pictures import RenderedPicture
from systems.viewer.requests import Mailbox, MeshSettings
from systems.viewer.server import is_own_page, is_valid_value
from utils.mesh import Mesh


def test_the_page_shows_cameras_region_and_controls(visitor, subject):
    visitor.control("region")
    kinds = [message["type"] for message in visitor.messages]
    assert kinds.count("CameraFrustumMessage") == len(subject.scene)
    assert {"IcosphereMessage", "BoxMessage"} <= set(kinds)
    for label in (
        "pause",
        "save checkpoint",
        "export mesh",
        "iso level",
        "crop x",
        "state",
        "cameras",
        "picture",
        "show",
    ):
        visitor.control(label)


@pytest.mark.parametrize(
    ("looks", "kind"),
    [
        ({}, "MeshMessage"),
        ({"colors": np.full((3, 3), 9, np.uint8)}, "GlbMessage"),
        ({"colors": np.full((3, 3), 9, np.uint8), "views": np.array([0, 3, 40], np.uint16)}, "GlbMessage"),
    ],
)
def test_a_mesh_is_shown_plain_or_in_its_colours(visitor, page, looks, kind):
    page.show_mesh(0, Mesh(np.eye(3), np.array([[0, 1, 2]]), **looks))
    assert visitor.wait_for(lambda message: message["type"] == kind)["name"] == "/mesh"
    page.show_mesh(0, None)
    visitor.wait_for(lambda message: message["type"] == "RemoveSceneNodeMessage" and message["name"] == "/mesh")


def test_points_of_a_capture_are_shown_and_so_is_a_region_that_is_a_ball(subject):
    points = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    model = SimpleNamespace(
        config=subject.model.config, background=object(), geometry=subject.model.geometry, is_sdf=True
    )
    model.occupancy = subject.model.occupancy
    capture = replace(subject, scene=replace(subject.scene, points=points), model=model)
    opened = ViserPage(capture, Mailbox(), find_address("127.0.0.1", 0), [100], live=False, commands=("export",))
    try:
        with ScriptedVisitor(opened.address.port) as found:
            found.control("sparse points")
            kinds = [message["type"] for message in found.messages]
            assert "PointCloudMessage" in kinds
            assert "IcosphereMessage" in kinds
            assert "BoxMessage" not in kinds
            found.control("export mesh")
            for missing in ("checkpoint", "pause"):  # there is one only, and nothing is trained
                with pytest.raises(TimeoutError):
                    found.control(missing, 0.1)
    finally:
        opened.close()


def test_what_visitors_do_is_in_the_mailbox(visitor, page):
    camera = page.mailbox.visitors()[0].camera
    assert camera.c2w == pytest.approx(FRONT.c2w)
    visitor.set("picture", "depth")
    visitor.set("pause", True)
    visitor.set("iso level", 0.2)
    visitor.set("crop y", [-0.5, 5.0])
    visitor.set("show", "mesh")
    until(lambda: page.mailbox.mesh_is_seen and page.mailbox.mesh == MeshSettings(1.0))
    visitor.set("coloured by", "photographs")
    until(lambda: page.mailbox.mesh == MeshSettings(1.0, "photographs"))
    visitor.set("stl", True)
    until(lambda: page.mailbox.formats == ("obj", "ply", "stl"))
    assert page.mailbox.visitors()[0].picture == "depth"
    assert page.mailbox.take_commands() == ["pause"]
    assert page.mailbox.box.low == pytest.approx((-1.1, -0.5, -1.1))
    assert page.mailbox.box.high == pytest.approx((1.1, 1.1, 1.1))  # no farther than the region


def test_a_second_visitor_has_a_camera_and_a_picture_of_its_own(visitor, page):
    with ScriptedVisitor(page.address.port) as second:
        second.stand((3.0, 0.0, 0.0), size=(100, 50))
        second.set("picture", "normal")
        until(lambda: len(page.mailbox) == 2 and page.mailbox.visitors()[1].picture == "normal")
        first, other = page.mailbox.visitors().values()
        assert (first.picture, first.camera.size, other.camera.size) == ("rgb", (640, 480), (100, 50))
        visitor.set("iso level", 0.05)
        second.value("iso level", lambda value: value == pytest.approx(0.05))  # shared
    until(lambda: len(page.mailbox) == 1)


def test_a_picture_for_a_visitor_who_is_just_leaving_comes_to_nothing(visitor, page, monkeypatch):
    picture = RenderedPicture(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.float32))
    page._visits[0].client.gui.reset()  # viser takes their controls away before it says that they have left
    with pytest.raises(RuntimeError, match="removed"):
        page.show_picture(0, picture)
    monkeypatch.setattr(page.server, "get_clients", dict)
    page.show_picture(0, picture)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"\xff\x00garbage",
        "text",
        msgspec.msgpack.encode([1, 2, 3]),
        msgspec.msgpack.encode({"type": "NoSuchMessage"}),
        msgspec.msgpack.encode({"type": "GuiUpdateMessage"}),
        msgspec.msgpack.encode({"type": "ViewerCameraMessage", "wxyz": "abc"}),
        msgspec.msgpack.encode({"type": "GuiUpdateMessage", "uuid": 5, "updates": {"value": {}}}),
        msgspec.msgpack.encode({"type": "RunJavascriptMessage", "source": "alert(1)"}),
    ],
)
def test_a_malformed_message_costs_its_sender_the_connection_at_most(visitor, page, nonsense, capfd):
    with ScriptedVisitor(page.address.port) as rude:
        rude.stand((3.0, 0.0, 0.0))
        until(lambda: len(page.mailbox) == 2)
        rude.socket.send(nonsense)
        try:
            list(rude.listen(0.3))
        except ConnectionClosed:
            until(lambda: len(page.mailbox) == 1)
        visitor.set("pause", True)
        until(lambda: page.mailbox.take_commands() == ["pause"])
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("field", [{"wxyz": [float("nan")] * 4}, {"image_height": 10**9}, {"fov": -1.0}])
def test_a_camera_that_cannot_be_is_not_heard(visitor, page, field):
    before = page.mailbox.visitors()[0]
    camera = {"wxyz": [1.0, 0.0, 0.0, 0.0], "position": [0.0, 0.0, 1.0], "fov": 0.5, "near": 0.1, "far": 10.0}
    camera |= {"image_height": 10, "image_width": 10, "look_at": [0.0] * 3, "up_direction": [0.0, 0.0, 1.0]}
    visitor.send("ViewerCameraMessage", **camera | field)
    visitor.set("pause", True)
    until(lambda: page.mailbox.take_commands() == ["pause"])
    assert page.mailbox.visitors()[0] == before


def test_a_page_sets_values_and_nothing_else(visitor, page):
    uuid, button = visitor.control("iso level"), page._buttons["pause"]
    state = page.server.gui._gui_input_handle_from_uuid[uuid]._impl
    for updates in (
        {"update_cb": []},
        {"removed": True},
        {"value": 0.1, "gui_api": None},
        {"value": float("nan")},
        {"value": ["x"]},
    ):
        visitor.send("GuiUpdateMessage", uuid=uuid, updates=updates)
    visitor.send("GuiUpdateMessage", uuid=button._impl.uuid, updates={"value": True})
    until(lambda: page.mailbox.take_commands() == ["pause"])
    assert state.update_cb
    assert not state.removed
    assert state.gui_api is page.server.gui
    assert state.value == 0.0


def test_a_page_cannot_publish_the_server_on_the_internet(visitor, page, monkeypatch):
    asked = []
    monkeypatch.setattr(page.server, "request_share_url", lambda: asked.append("share"))
    visitor.send("ShareUrlRequest")
    visitor.set("pause", True)
    until(lambda: page.mailbox.take_commands() == ["pause"])
    time.sleep(0.1)
    assert asked == []


def test_pages_of_other_sites_are_sent_away(page):
    for origin in ("http://evil.example", f"http://evil.example:{page.address.port}", "null"):
        with ScriptedVisitor(page.address.port, origin=origin) as foreign, pytest.raises(ConnectionClosed):
            foreign.control("pause")
    with ScriptedVisitor(page.address.port, origin=page.address.url) as own:
        own.control("pause")


@pytest.mark.parametrize(
    ("origin", "host", "local", "own"),
    [
        (None, "127.0.0.1:8080", True, True),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", True, True),
        ("http://localhost:9000", "localhost:9000", True, True),  # through a tunnel
        ("http://[::1]:8080", "[::1]:8080", True, True),
        ("http://evil.example:8080", "evil.example:8080", True, False),  # a name that was made to lead here
        ("http://evil.example", "127.0.0.1:8080", True, False),
        ("http://lab.example.org:8080", "lab.example.org:8080", False, True),
        ("http://evil.example", "lab.example.org:8080", False, False),
        ("null", "127.0.0.1:8080", True, False),
        ("http://127.0.0.1:8080", None, True, False),
    ],
)
def test_own_pages_are_told_from_others(origin, host, local, own):
    assert is_own_page(origin, host, local) == own


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (True, True),
        (3, True),
        (0.5, True),
        ("rgb", True),
        ([0.0, 1.0], True),
        ((1, 2), True),
        (float("inf"), False),
        ([0.0, float("nan")], False),
        (["a", "b"], False),
        ([0.0] * 5, False),
        ("x" * 1000, False),
        ({}, False),
        (None, False),
        (b"x", False),
    ],
)
def test_controls_have_plain_values(value, plain):
    assert is_valid_value(value) == plain


def test_files_beside_the_page_are_not_served(page):
    import http.client

    for path in ("/../../server.py", "/%2e%2e/%2e%2e/_viser.py", "/etc/passwd", "//etc/passwd"):
        connection = http.client.HTTPConnection("127.0.0.1", page.address.port, timeout=PATIENCE)
        connection.request("GET", path)
        assert connection.getresponse().status == 404
        connection.close()
