"""`design-space explore` without a browser: its address, its refusals, its start and its end."""

import importlib
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from explore_server import started
from typer.testing import CliRunner

from design_space.cli import app
from design_space.commands.explore import command, server


def invoke(*words):
    return CliRunner().invoke(app, ["explore", *words])


@pytest.fixture
def unserved(monkeypatch):
    """The command without its server and its numbers: what it would serve, and open."""
    seen = {"served": [], "opened": []}

    def serve(sock):
        seen["served"].append(sock.getsockname())
        sock.close()

    monkeypatch.setattr(command, "serve", serve)
    monkeypatch.setattr(command, "warm_up", lambda: 0.1)
    monkeypatch.setattr(command.webbrowser, "open", seen["opened"].append)
    return seen


def test_help_names_the_options():
    result = invoke("--help")
    assert result.exit_code == 0
    for option in ("--port", "--host", "--no-browser"):
        assert option in result.stdout


def test_it_listens_on_the_loopback_address_and_opens_the_page(unserved):
    result = invoke("--port", "0")
    assert result.exit_code == 0, result.output
    ((address, port),) = unserved["served"]
    assert address == "127.0.0.1"
    assert unserved["opened"] == [f"http://127.0.0.1:{port}/"]
    assert f"http://127.0.0.1:{port}/" in result.stdout
    assert "other machines" not in result.output


def test_no_browser_opens_none(unserved):
    assert invoke("--port", "0", "--no-browser").exit_code == 0
    assert unserved["opened"] == []
    assert len(unserved["served"]) == 1


def test_a_busy_port_is_replaced_and_this_is_said(unserved):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        result = invoke("--port", str(port), "--no-browser")
    ((_, found),) = unserved["served"]
    assert port < found < port + server.PORTS_TRIED
    assert f"port {port} is taken: using {found}" in result.stdout


def test_an_address_that_others_reach_is_said_to_be_one(unserved):
    result = invoke("--port", "0", "--host", "0.0.0.0")
    assert "other machines can reach this address" in result.stdout
    ((address, port),) = unserved["served"]
    assert address == "0.0.0.0"
    assert unserved["opened"] == [f"http://127.0.0.1:{port}/"]


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--port", "70000"], "port = 70000: must be a whole number from 0 to 65535"),
        (["--port", "-1"], "port = -1"),
        (["--host", "192.0.2.1"], "host = '192.0.2.1': must be a name or address of this machine"),
    ],
)
def test_an_address_that_cannot_be_had_is_refused(unserved, words, fragment):
    result = invoke(*words)
    assert result.exit_code == 2
    assert fragment in result.stderr
    assert unserved["served"] == []


@pytest.mark.parametrize("missing", ["marimo", "altair", "uvicorn"])
def test_without_the_extra_the_remedy_is_named(unserved, monkeypatch, missing):
    real = importlib.import_module

    def without(name):
        if name == missing:
            raise ModuleNotFoundError(name)
        return real(name)

    monkeypatch.setattr(server.importlib, "import_module", without)
    result = invoke("--port", "0")
    assert result.exit_code == 2
    assert missing in result.stderr
    assert 'pip install "design-space[explore]"' in result.stderr
    assert unserved["served"] == []


def test_addresses_as_browsers_take_them():
    assert server.link("127.0.0.1", 1) == "http://127.0.0.1:1/"
    assert server.link("::1", 2) == "http://[::1]:2/"
    assert server.link("::", 3) == "http://[::1]:3/"
    assert server.is_loopback("localhost")
    assert server.is_loopback("::1")
    assert not server.is_loopback("0.0.0.0")


def test_the_help_of_the_command_needs_no_extra():
    """Importing the console script leaves marimo and its server alone."""
    code = (
        "import sys, design_space.cli\nprint([m for m in ('marimo', 'altair') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_it_serves_the_page_and_ends_at_an_interrupt(request):
    """A real start; an interrupt, as Ctrl-C sends it, ends it with nothing on stderr."""
    process, address = started(request.config)
    with urllib.request.urlopen(address, timeout=30) as answer:
        text = answer.read().decode()
    assert "design_space: explore" in text
    os.kill(process.pid, signal.SIGINT)
    _, complaints = process.communicate(timeout=20)
    assert process.returncode in (0, 130, -signal.SIGINT)
    assert "Traceback" not in complaints, complaints
