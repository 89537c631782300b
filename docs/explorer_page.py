"""An explorer and a Chromium that the machine has, for the scripts that look at its page."""

import contextlib
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
"""The program, or None."""


@contextlib.contextmanager
def opened() -> Iterator[tuple[Browser, str]]:
    """Starts the explorer and a browser, and ends both.

    Yields:
      The browser, and the address of the page.
    """
    command = [sys.executable, "-u", "-m", "design_space.cli"]
    server = subprocess.Popen(
        [*command, "explore", "--port", "0", "--no-browser"], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        address = next(hit[0] for line in server.stdout if (hit := re.search(r"http://\S+", line)))
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            yield browser, address
            browser.close()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)
