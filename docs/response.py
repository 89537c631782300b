"""Measures how fast the explorer answers, for the table of docs/howto/explore.md.

`python docs/response.py [MOVES]` starts the explorer, moves a slider by its arrow key, and prints
the time from the press of the key to the first frame that shows a change, over MOVES moves (20).
"""

import os
import statistics
import sys

from explorer_page import CHROMIUM, opened
from playwright.sync_api import Browser

CASES = {
    "Gaussian data": ("", "std"),
    "two modes": ("?data=bimodal", "width"),
}
"""What is shown -> query, and the slider that moves."""

SEEN = ("key numbers", "first picture", "all pictures, refined where there is something to refine")
"""What `_WATCH` waits for, in order."""

_WATCH = """() => {
  const charts = [...document.querySelectorAll(".ds-picture marimo-mime-renderer")];
  const shown = () => charts.map((chart) => (chart.isConnected ?
    chart.shadowRoot.querySelector("[role=graphics-document]")?.ariaLabel : undefined));
  const state = () => [document.querySelector(".ds-summary").textContent, ...shown()];
  const before = state();
  let last = before, pressed = 0;
  const at = [0, 0, 0];
  addEventListener("keydown", (event) => { pressed = event.timeStamp; },
    { once: true, capture: true });
  window.answer = new Promise((done) => {
    const frame = () => {
      const now = state(), time = performance.now();
      if (pressed && now.some((text, i) => text !== last[i])) {
        last = now;
        if (!at[0] && now[0] !== before[0]) at[0] = time - pressed;
        if (!at[1] && now.some((text, i) => i && text !== before[i])) at[1] = time - pressed;
        at[2] = time - pressed;
      }
      const busy = document.querySelector(".ds-busy");
      if (at[0] && at[1] && !busy && time - pressed - at[2] > 400) done(at);
      else requestAnimationFrame(frame);
    };
    frame();
  });
}"""
"""Times in milliseconds of the first change of the numbers and of a picture, and of the last change
of anything. A description changes in the frame in which its chart does."""


def measured(browser: Browser, address: str, name: str, moves: int) -> list[list[float]]:
    """The times of every move.

    Args:
      browser: playwright's.
      address: of the page, with a query.
      name: of the slider.
      moves: how often the arrow key is pressed.
    """
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(address)
    page.locator(".ds-picture canvas").nth(4).wait_for(timeout=120_000)
    page.wait_for_function("() => !document.querySelector('.ds-busy')", timeout=120_000)
    page.wait_for_timeout(3000)
    page.locator(f"[data-name={name}] [role=slider]").focus()
    found = []
    for _ in range(moves):
        page.evaluate(_WATCH)
        page.keyboard.press("ArrowRight")
        found.append(page.evaluate("() => window.answer"))
    page.close()
    return found


def main() -> int:
    """Prints the medians and the longest times; returns the exit status."""
    if CHROMIUM is None:
        print("no Chromium on this machine: nothing is measured")
        return 1
    moves = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with opened() as (browser, address):
        for title, (query, name) in CASES.items():
            times = measured(browser, address + query, name, moves)
            print(f"{title}, {moves} moves of {name}, load {os.getloadavg()[0]:.1f}:")
            for what, column in zip(SEEN, zip(*times, strict=True), strict=True):
                print(f"  {what}: {statistics.median(column):.0f} ms, at most {max(column):.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
