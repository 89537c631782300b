// The address bar follows the link to the shown design, and a button copies it; a lesson stays where
// one was reading when one of its links opens another design.
addEventListener("load", () => {
  let last = "";
  let soon = 0;
  let reading = null;
  const follow = () => {
    const link = document.querySelector("a.ds-link");
    if (link && link.getAttribute("href") !== last) {
      last = link.getAttribute("href");
      clearTimeout(soon); // after the pictures, and once for many moves
      soon = setTimeout(() => history.replaceState(history.state, "", last), 250);
    }
    const lesson = document.querySelector(".ds-lesson");
    if (lesson && lesson.ariaLabel !== reading) {
      reading = lesson.ariaLabel;
      lesson.scrollTop = Number(sessionStorage.getItem(reading) ?? 0);
    }
  };
  addEventListener("scroll", (event) => {
    const lesson = event.target;
    if (lesson.classList?.contains("ds-lesson")) {
      sessionStorage.setItem(lesson.ariaLabel, lesson.scrollTop);
    }
  }, { capture: true, passive: true });
  new MutationObserver(follow).observe(document.body, {
    subtree: true, childList: true, attributes: true, attributeFilter: ["href"],
  });
});
addEventListener("click", async (event) => {
  const button = event.target.closest?.("button.ds-copy");
  if (!button) return;
  await navigator.clipboard.writeText(document.querySelector("a.ds-link").href);
  const words = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = words; }, 1500);
});
// The sliders of marimo say their place among the stops; here they say the value that stands beside.
const tell = (event) => {
  const thumb = event.composedPath()[0];
  if (thumb.getAttribute?.("role") !== "slider") return;
  requestAnimationFrame(() => {
    const shown = thumb.getRootNode().querySelector(".text-xs")?.textContent;
    if (shown) thumb.setAttribute("aria-valuetext", shown);
  });
};
addEventListener("focusin", tell);
addEventListener("keydown", tell);
// A chart stays where it is and gets new data: its place holds them and the description, and it hears
// them by an event of the window. A chart that has been made anew has none.
const told = new WeakMap();
const watched = new WeakSet();
const fill = () => {
  for (const place of document.querySelectorAll(".ds-chart[data-now^='{']")) {
    const root = place.querySelector("marimo-mime-renderer")?.shadowRoot;
    if (!root) {
      requestAnimationFrame(fill); // marimo is still loading
      continue;
    }
    if (!watched.has(root)) {
      watched.add(root);
      new MutationObserver(fill).observe(root, { subtree: true, childList: true });
    }
    const chart = root.querySelector("[role=graphics-document]");
    const { now, alt } = place.dataset;
    if (!chart || told.get(chart) === now + alt) continue;
    told.set(chart, now + alt);
    const name = `ds-${place.parentElement.dataset.name}`;
    dispatchEvent(new CustomEvent(name, { detail: JSON.parse(now) }));
    chart.setAttribute("aria-label", alt);
  }
};
addEventListener("load", () => {
  new MutationObserver(fill).observe(document.body, {
    subtree: true, childList: true, attributes: true, attributeFilter: ["data-now", "data-alt"],
  });
});
