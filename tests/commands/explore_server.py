"""A real explorer for tests, in a process of its own."""

import os
import re
import subprocess
import sys


def started(config):
    """Starts `design-space explore` on a free port.

    Args:
      config: pytest's, whose cache keeps what JAX compiles for the next start.

    Returns:
      The process, and the address of the page.
    """
    folder = (
        config.cache.mkdir("explore") if config.pluginmanager.hasplugin("cacheprovider") else ""
    )
    environment = {**os.environ, "DESIGN_SPACE_CACHE": str(folder) or "off"}
    environment["PYTHONUNBUFFERED"] = "1"
    process = subprocess.Popen(
        [sys.executable, "-m", "design_space.cli", "explore", "--port", "0", "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    for line in process.stdout:
        found = re.search(r"http://\S+", line)
        if found:
            return process, found[0]
    raise AssertionError(process.stderr.read())
