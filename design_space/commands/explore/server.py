"""The server of the explorer: an address, the marimo app behind it, and its end by Ctrl-C."""

import contextlib
import importlib
import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import Any

from design_space.checks import refusal

PAGE = Path(__file__).with_name("page.py")
PORTS_TRIED = 50
_NEEDED = ("marimo", "altair", "uvicorn")


def needed() -> dict[str, Any]:
    """The packages of the extra `explore`, by name.

    Raises:
      ValueError: if one of them is not installed.
    """
    found = {}
    for name in _NEEDED:
        try:
            found[name] = importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise ValueError(
                f"explore: must have {name} installed, which the page is made with; "
                'pip install "design-space[explore]"'
            ) from error
    return found


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    Args:
      host: a name or an address.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def free_socket(host: str, port: int) -> socket.socket:
    """A listening socket on the port, or on the next one that is free.

    Args:
      host: a name or an address of this machine.
      port: 1 to 65535; 0 takes any free one.

    Returns:
      The socket, which listens: a browser may connect before the server runs.

    Raises:
      ValueError: if the host is not this machine's, or none of the ports can be had.
    """
    family, address = _address(host)
    tried = range(port, min(port + PORTS_TRIED, 65536))
    for candidate in tried:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, candidate))
            sock.listen(128)
        except OSError:
            sock.close()
            continue
        return sock
    domain = f"a port such that it or one of the next {len(tried) - 1} is free on {host}"
    raise refusal("port", port, domain, "choose another with --port")


def _address(host: str) -> tuple[int, str]:
    """The family and the number of an address that this machine can listen on."""
    wrong = refusal("host", host, "a name or address of this machine", "leave out --host")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        address = str(place[0])
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except (OSError, UnicodeError) as error:
        raise wrong from error
    return family, address


def link(host: str, port: int) -> str:
    """The address of the page, as a browser takes it.

    Args:
      host: as it was asked for; all addresses (0.0.0.0 or ::) are reached by the loopback one.
      port: of the socket.
    """
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    return f"http://{f'[{name}]' if ':' in name and '[' not in name else name}:{port}/"


def application() -> Any:
    """The page as an ASGI application; each visitor gets a kernel of its own."""
    script = PAGE.with_name("page.js").read_text(encoding="utf-8")
    head = f'<meta name="robots" content="noindex"><script>{script}</script>'
    builder = needed()["marimo"].create_asgi_app(quiet=True, html_head=head, session_ttl=300)
    return builder.with_app(path="/", root=str(PAGE)).build()


def serve(sock: socket.socket) -> None:
    """Serves the page until Ctrl-C, which ends the process.

    Pages that are open have threads of marimo that nothing ends, so that a process which waits for
    its threads would never be done.

    Args:
      sock: listens already.
    """
    uvicorn = needed()["uvicorn"]
    config = uvicorn.Config(
        application(),
        log_level="error",
        access_log=False,
        timeout_graceful_shutdown=1,
        lifespan="on",
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[sock])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
