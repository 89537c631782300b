"use strict";
// The page reads without this script; with it, tables sort, and contents and print behave better.

// Tables: a button in every heading sorts the rows shown; cells without a value stay last.
for (const table of document.querySelectorAll("table")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Sort by this column";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      for (const other of headings) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      sort(table.tBodies[0], column, heading.classList.contains("number"), down);
    });
  });
}

function sort(body, column, numbers, down) {
  const words = new Intl.Collator("en", { numeric: true });
  const value = (row) => row.cells[column].textContent.trim();
  const number = (text) => Number(text.replace(/inf$/, "Infinity"));
  const order = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "–" || y === "–") return (x === "–") - (y === "–");
    const sign = numbers ? Math.sign(number(x) - number(y)) || 0 : words.compare(x, y);
    return down ? -sign : sign;
  };
  body.append(...[...body.rows].sort(order));
}

// Contents: open beside the text, closed above it.
const contents = document.getElementById("contents");
const wide = matchMedia("(min-width: 64rem)");
const fold = () => { contents.open = wide.matches; };
fold();
wide.addEventListener("change", fold);

// Print: everything that is folded is printed, and folded again.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const details of folded) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of folded) details.open = false;
});
