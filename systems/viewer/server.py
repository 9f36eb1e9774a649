"""The server of the viewer's page: viser, hardened so that a page can only use its own controls.

viser has no public hooks for this, so requirements.txt pins one minor version of it, and a test covers each guard."""

import logging
import math
import warnings
from typing import Any
from urllib.parse import urlsplit

import rich
import viser
from viser import _messages as messages
from viser.infra import WebsockClientConnection

from systems.viewer.address import Address, is_loopback

log = logging.getLogger(__name__)
MAX_TEXT = 200  # characters that a control may send
MAX_PARTS = 4  # of a slider with several handles
# viser's controls are 18 to 30 pixels high, and it has no setting for that. Where fingers point at them, all are hit
# within 40 pixels: Apple's guide asks for 44 points, Google's for 48 with what lies around, WCAG 2.2 (2.5.8) for 24.
# Boxes and thumbs are drawn smaller than what is hit; buttons stand side by side, since the panel may not be higher.
TOUCH_STYLE = """<style>
@media (max-width: 600px), (pointer: coarse) {
  .mantine-Button-root, .mantine-Select-option, [role="tab"], [aria-label^="Expand panel"] {
    min-height: 40px !important;
  }
  .mantine-Select-input, .mantine-NumberInput-input { min-height: 40px !important; height: 40px !important; }
  .mantine-ActionIcon-root, [aria-label^="Collapse panel"] {
    min-width: 40px !important; min-height: 40px !important; justify-content: center;
  }
  .mantine-Checkbox-root { --checkbox-size: 24px !important; padding-block: 8px; }
  .mantine-Checkbox-input::after { content: ""; position: absolute; inset: -8px; }
  .mantine-Flex-root:has(> div .mantine-Checkbox-input) label { display: block; padding-block: 12px; }
  .mantine-Slider-root, .mantine-Slider-trackContainer { height: 40px !important; padding-block: 0 !important; }
  .multi-slider { height: 40px; width: auto; margin: 0 7px; }
  .multi-slider-track-container { margin: 0; top: calc(50% - 0.125rem); }
  .multi-slider-track-container::before { content: ""; position: absolute; inset: -18px -7px; }
  .mantine-Slider-thumb, .multi-slider-thumb { width: 14px !important; height: 24px !important; }
  div:has(> div:not(.mantine-Flex-root) > .mantine-Button-root) { display: flex; flex-wrap: wrap; }
  div:has(> div:not(.mantine-Flex-root) > .mantine-Button-root) > div { flex: 1 1 100%; }
  div:has(> div:not(.mantine-Flex-root) > .mantine-Button-root) > div:has(> .mantine-Button-root) { flex-basis: 40%; }
  div:has(> .mantine-Button-root), div:has(> .mantine-Flex-root > div > p > label) {
    padding-bottom: 0.25em !important;
  }
}
</style>"""


def open_server(address: Address) -> viser.ViserServer:
    """A server with all guards in place before it shows anything. Takes the next free port if its own is used."""
    rich.get_console().quiet = True  # stdout is reserved for the results of a run
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # it would log a traceback for each malformed message
    warnings.filterwarnings("ignore", message="Queued a .* on a closed connection")  # a visitor has just left
    warnings.filterwarnings("ignore", message=r"\[viser\] .* does not match")  # a malformed message
    server = viser.ViserServer(address.host, address.port, label="PhotoSurf", verbose=False)
    configure_theme(server.gui)
    web = server._websock_server
    for message in (messages.ShareUrlRequest, messages.ShareUrlDisconnect):  # they publish the page on the internet
        web.unregister_handler(message)
    guard_controls(server)
    loop = server.get_event_loop()
    loop.call_soon_threadsafe(loop.set_exception_handler, _log_dropped)
    _refuse_foreign_pages(server, address.is_local)
    web.disconnect_all_clients()  # those who came before the guards connect again
    return server


def configure_theme(gui: viser.GuiApi, dark: bool = False) -> None:
    """The looks of the page, for all visitors or the one whose controls these are."""
    gui.configure_theme(show_logo=False, show_share_button=False, dark_mode=dark)


def guard_controls(owner: viser.ViserServer | viser.ClientHandle) -> None:
    """Lets a page change only the values of controls; viser itself would set any attribute."""
    gui = owner.gui
    web = owner._websock_server if isinstance(owner, viser.ViserServer) else owner._websock_connection

    async def take(client: int, message: Any) -> None:
        if set(message.updates) == {"value"} and is_valid_value(message.updates["value"]):
            await gui._handle_gui_updates(client, message)

    web.unregister_handler(messages.GuiUpdateMessage)
    web.register_handler(messages.GuiUpdateMessage, take)


def is_valid_value(value: Any) -> bool:
    """Whether a control can have this value: a finite number, a short text, or a few finite numbers."""
    if isinstance(value, list | tuple):
        return len(value) <= MAX_PARTS and all(isinstance(x, int | float) and math.isfinite(x) for x in value)
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    return isinstance(value, bool) or (isinstance(value, int | float) and math.isfinite(value))


def is_own_page(origin: str | None, host: str | None, local: bool) -> bool:
    """Whether a connection comes from a page of this server, not from another site in the same browser.

    origin, host: the headers; only browsers send an origin. local: the server listens on this machine only, so the host
    must be a name of this machine; any other name was made to resolve here (DNS rebinding)."""
    if origin is None:
        return True
    name = urlsplit(f"//{host}").hostname or ""
    return urlsplit(origin).netloc == host and (not local or is_loopback(name))


def _refuse_foreign_pages(server: viser.ViserServer, local: bool) -> None:
    web = server._websock_server

    async def check(connection: WebsockClientConnection) -> None:
        socket = web._live_connections.get(connection.client_id)
        headers = socket.request.headers if socket is not None else {}
        if not is_own_page(headers.get("Origin"), headers.get("Host"), local):
            log.warning("viewer: refused a connection from a page of %s", str(headers.get("Origin"))[:MAX_TEXT])
            await socket.close(1008, "not a page of this server")

    web.on_client_connect(check)


def _log_dropped(loop: Any, context: dict[str, Any]) -> None:
    log.debug("viewer: ignored a message of a page: %s", context.get("exception") or context.get("message"))
