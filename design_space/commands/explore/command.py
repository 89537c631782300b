"""`design-space explore`: the interactive page on the loopback address."""

import time
import webbrowser
from collections.abc import Callable

import typer

from design_space.checks import refusal
from design_space.commands.explore.server import free_socket, is_loopback, link, needed, serve
from design_space.explorer import compute

DEFAULT_PORT = 2718

Say = Callable[[str], None]


def explore(
    port: int = DEFAULT_PORT, host: str = "127.0.0.1", browser: bool = True, say: Say = typer.echo
) -> None:
    """Serves the explorer until Ctrl-C.

    Args:
      port: where to listen; if it is taken, the next free one.
      host: the address to listen on.
      browser: also open the page in a browser.
      say: takes each line that is meant for the user.

    Raises:
      ValueError: if the extra is not installed, or the address cannot be had.
    """
    if not 0 <= port <= 65535:
        raise refusal("port", port, "a whole number from 0 to 65535", f"try {DEFAULT_PORT}")
    needed()
    sock = free_socket(host, port)
    found = sock.getsockname()[1]
    if port not in (0, found):
        say(f"port {port} is taken: using {found}")
    if not is_loopback(host):
        say("note: other machines can reach this address; whoever does can use the page")
    say("getting ready ...")
    say(f"ready after {warm_up():.1f} s: {link(host, found)}")
    say("Ctrl-C ends it")
    if browser:
        webbrowser.open(link(host, found))
    serve(sock)


def warm_up() -> float:
    """Computes one design of each kind, so that what JAX compiles is there.

    Returns:
      The seconds that it took.
    """
    start = time.perf_counter()
    compute.warm_up()
    return time.perf_counter() - start
