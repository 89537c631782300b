// The address bar follows the link to the shown design, and a button copies it.
addEventListener("load", () => {
  let last = "";
  const follow = () => {
    const link = document.querySelector("a.ds-link");
    if (!link || link.getAttribute("href") === last) return;
    last = link.getAttribute("href");
    history.replaceState(history.state, "", last);
  };
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
