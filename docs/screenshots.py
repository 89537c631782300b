"""Takes the pictures of docs/howto/explore.md again, in a Chromium that the machine has.

`python docs/screenshots.py` starts the explorer, opens it in light and dark, wide and narrow, and
writes small PNG files to docs/howto/explore/.
"""

import io
import sys
from pathlib import Path

from explorer_page import CHROMIUM, opened
from PIL import Image
from playwright.sync_api import Browser

OUT = Path(__file__).resolve().parent / "howto" / "explore"
SHOTS = {
    "wide_light": ("?steps=12&step=8", 1400, 1120, "light"),
    "wide_dark": ("?data=mixture&steps=30", 1400, 1120, "dark"),
    "narrow_light": ("?data=bimodal&steps=30", 400, 1500, "light"),
    "narrow_dark": ("?steps=12&score=scaled", 400, 1500, "dark"),
    "lesson": ("?lesson=5&data=bimodal&separation=1&width=0.3&steps=8", 1400, 1000, "light"),
}
"""Name -> query, width and height of the window in pixels, color scheme."""

COLORS = 256
_PLAIN = Image.Dither.NONE


def shot(browser: Browser, address: str, name: str) -> bytes:
    """One picture of the page, as a PNG of few colors.

    Args:
      browser: playwright's.
      address: of the explorer.
      name: a key of SHOTS.
    """
    query, width, height, scheme = SHOTS[name]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.goto(address + query)
    page.locator(".ds-picture canvas").nth(4).wait_for(timeout=120_000)
    page.wait_for_function("() => !document.querySelector('.ds-busy')", timeout=120_000)
    page.wait_for_timeout(2000)
    if width < 500:
        page.locator(".ds-bar").scroll_into_view_if_needed()
        page.evaluate("() => document.querySelector('.ds-bar').scrollIntoView()")
        page.wait_for_timeout(500)
    image = Image.open(io.BytesIO(page.screenshot()))
    page.close()
    small = io.BytesIO()
    image.convert("RGB").quantize(
        COLORS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    ).save(small, "PNG", optimize=True)
    return small.getvalue()


def main() -> int:
    """Writes the pictures; returns the exit status."""
    if CHROMIUM is None:
        print("no Chromium on this machine: nothing is taken")
        return 1
    OUT.mkdir(exist_ok=True)
    with opened() as (browser, address):
        for name in SHOTS:
            (OUT / f"{name}.png").write_bytes(content := shot(browser, address, name))
            print(f"{name}.png: {len(content) / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
