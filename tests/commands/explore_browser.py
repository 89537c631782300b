"""Drives the explorer in a real Chromium: what its tests, and its screenshots, ask of a page."""

import shutil

from playwright.sync_api import sync_playwright

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
PICTURES = ("law", "fisher", "budget", "bounds", "winner")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # nothing else has an address
)
PATIENCE = 60_000
"""Milliseconds that a page may take on a machine that is busy with other tests."""

_WORDS = """() => {
  const walk = (root, found) => {
    for (const e of root.querySelectorAll("*")) {
      if (e.shadowRoot) walk(e.shadowRoot, found);
      if (e.getAttribute("role") === "graphics-document") found.push(e.ariaLabel);
    }
    return found;
  };
  const names = {};
  for (const picture of document.querySelectorAll(".ds-picture")) {
    names[picture.dataset.name] = walk(picture, [])[0] ?? picture.querySelector("h2").textContent;
  }
  return names;
}"""

_PIXELS = """() => Object.fromEntries(
  [...document.querySelectorAll(".ds-picture:has(marimo-mime-renderer)")].map((picture) => [
    picture.dataset.name,
    picture.querySelector("marimo-mime-renderer").shadowRoot.querySelector("canvas").toDataURL(),
  ]))"""


class Page:
    """One page of the explorer, and what went wrong or out on it.

    Attributes:
      page: playwright's.
      address: of the server.
      requests: every address that was asked for.
      complaints: errors of the page and of its console.
    """

    def __init__(self, browser, address, **options):
        self.page = browser.new_page(**{"viewport": {"width": 1400, "height": 900}} | options)
        self.page.set_default_timeout(PATIENCE)
        self.address, self.requests, self.complaints = address, [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._heard)

    def _heard(self, message):
        if message.type == "error":
            self.complaints.append(message.text)

    def open(self, query=""):
        """Opens a state and waits for its pictures."""
        self.page.goto(self.address + query)
        self.page.wait_for_selector(".ds-summary")
        self.settle()
        return self

    def settle(self):
        """Waits until the numbers are final and every picture is drawn with them."""
        self.page.wait_for_function("() => !document.querySelector('.ds-busy')")
        self.page.wait_for_function(
            """() => [...document.querySelectorAll(".ds-picture")].every((picture) =>
              !picture.querySelector("marimo-mime-renderer")
              || picture.querySelector("marimo-mime-renderer").shadowRoot?.querySelector("canvas"))
              && document.querySelectorAll(".ds-picture").length === 5"""
        )
        before = None
        while before != (before := self.words()):
            self.page.wait_for_timeout(150)

    def words(self):
        """Picture -> its description, or its title where nothing is drawn."""
        return self.page.evaluate(_WORDS)

    def drawn(self):
        """Picture -> its pixels, where something is drawn."""
        return self.page.evaluate(_PIXELS)

    def summary(self):
        """The line with the key numbers."""
        return self.page.inner_text(".ds-summary")

    def link(self):
        """The link to the state, from its question mark on."""
        return self.page.get_attribute("a.ds-link", "href")

    def control(self, name):
        """The place of a control."""
        return self.page.locator(f'[data-name="{name}"]').first

    def press(self, name, key, times=1):
        """Moves a slider by a key, and waits for the pictures of the new state."""
        self.control(name).locator("[role=slider]").focus()
        self._do(lambda: [self.page.keyboard.press(key) for _ in range(times)])

    def choose(self, name, value):
        """Chooses one of the names of a control, and waits for the pictures."""
        self._do(lambda: self.control(name).locator("select").select_option(label=value))

    def write(self, name, text):
        """Writes into a text field; nothing need change."""
        self.control(name).locator("input").fill(text)
        self.page.keyboard.press("Enter")

    def _do(self, action):
        before = self.link()
        action()
        self.page.wait_for_function(
            "(old) => document.querySelector('a.ds-link').getAttribute('href') !== old", arg=before
        )
        self.settle()

    def sideways(self):
        """How many pixels the page is wider than its window."""
        return self.page.evaluate(
            "() => { const a = document.getElementById('App');"
            " return Math.max(a.scrollWidth - a.clientWidth,"
            " document.documentElement.scrollWidth - innerWidth); }"
        )


def launched():
    """A context: playwright's browser, headless."""
    return _Launched()


class _Launched:
    def __enter__(self):
        self._driver = sync_playwright().start()
        self._browser = self._driver.chromium.launch(executable_path=BROWSER, args=list(FLAGS))
        return self._browser

    def __exit__(self, *_):
        self._browser.close()
        self._driver.stop()
