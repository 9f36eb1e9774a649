"""The server of the viewer's page: viser, with what a page could do beyond pressing its own buttons taken away.

viser has no public hooks for this, so requirements.txt keeps to one minor version of it, and tests hold each guard."""

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
LONGEST_TEXT = 200  # characters that a control may send
MAX_PARTS = 4  # of a slider with several handles


def open_server(address: Address) -> viser.ViserServer:
    """A server that is guarded before it shows anything. It takes the next free port where the one given is not."""
    rich.get_console().quiet = True  # stdout is for what a run says at its end
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # else a traceback for each malformed message
    warnings.filterwarnings("ignore", message="Queued a .* on a closed connection")  # a visitor left meanwhile
    warnings.filterwarnings("ignore", message=r"\[viser\] .* does not match")  # a malformed message
    server = viser.ViserServer(address.host, address.port, label="PhotoSurf", verbose=False)
    server.gui.configure_theme(show_logo=False, show_share_button=False)
    web = server._websock_server
    for message in (messages.ShareUrlRequest, messages.ShareUrlDisconnect):  # would publish the page on the internet
        web.unregister_handler(message)
    guard_controls(server)
    loop = server.get_event_loop()
    loop.call_soon_threadsafe(loop.set_exception_handler, _dropped)
    _keep_to_own_pages(server, address.is_local)
    web.disconnect_all_clients()  # whoever came before the guards comes again
    return server


def guard_controls(owner: viser.ViserServer | viser.ClientHandle) -> None:
    """Lets a page change the values of controls, and nothing else of them: viser would set any attribute."""
    gui = owner.gui
    web = owner._websock_server if isinstance(owner, viser.ViserServer) else owner._websock_connection

    async def take(client: int, message: Any) -> None:
        if set(message.updates) == {"value"} and is_plain(message.updates["value"]):
            await gui._handle_gui_updates(client, message)

    web.unregister_handler(messages.GuiUpdateMessage)
    web.register_handler(messages.GuiUpdateMessage, take)


def is_plain(value: Any) -> bool:
    """Whether a value is what a control can have: a number, a short text, or a few numbers."""
    if isinstance(value, list | tuple):
        return len(value) <= MAX_PARTS and all(isinstance(x, int | float) and math.isfinite(x) for x in value)
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    return isinstance(value, bool) or (isinstance(value, int | float) and math.isfinite(value))


def is_own_page(origin: str | None, host: str | None, local: bool) -> bool:
    """Whether a connection comes from a page of this server, not from one of another site in the same browser.

    origin, host: the headers; only browsers send an origin. local: the server listens to this machine alone, so that
    its host has to be a name of it: another would be a foreign name that was made to lead here."""
    if origin is None:
        return True
    name = urlsplit(f"//{host}").hostname or ""
    return urlsplit(origin).netloc == host and (not local or is_loopback(name))


def _keep_to_own_pages(server: viser.ViserServer, local: bool) -> None:
    web = server._websock_server

    async def check(connection: WebsockClientConnection) -> None:
        socket = web._live_connections.get(connection.client_id)
        headers = socket.request.headers if socket is not None else {}
        if not is_own_page(headers.get("Origin"), headers.get("Host"), local):
            log.warning("viewer: refused a page of %s", str(headers.get("Origin"))[:LONGEST_TEXT])
            await socket.close(1008, "not a page of this server")

    web.on_client_connect(check)


def _dropped(loop: Any, context: dict[str, Any]) -> None:
    log.debug("viewer: dropped what a page sent: %s", context.get("exception") or context.get("message"))
