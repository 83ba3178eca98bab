"use strict";
// What every page can: light or dark, copy, enlarge a picture, sort and search a table.
const page = (() => {
  const root = document.documentElement;
  const dark = () => (root.style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  document.getElementById("theme")?.addEventListener("click", () => {
    root.style.colorScheme = dark() ? "light" : "dark";
    document.dispatchEvent(new Event("theme"));
  });
  const make = (tag, text = "", name = "") => Object.assign(document.createElement(tag), { textContent: text, className: name });

  // [data-copy="#id"] copies the text of that element.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const source = document.querySelector(button.dataset.copy), text = source.textContent.replace(/\s*\\\n\s*/g, " ").trim();
    let done = true;
    try { await navigator.clipboard.writeText(text); } catch {
      getSelection().selectAllChildren(source);  // a page opened from disk may not write to the clipboard
      done = document.execCommand("copy");
    }
    if (!done) return;
    button.dataset.was ??= button.textContent;
    button.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = button.dataset.was; }, 1600);
  });

  // .zoom opens its picture; left and right go through those of the same [data-album].
  const box = document.getElementById("lightbox");
  let album = [], at = 0;
  const look = (step) => {
    at = (at + step + album.length) % album.length;
    const image = album[at].querySelector("img");
    Object.assign(box.querySelector("img"), { src: image.dataset.large || image.src, alt: image.alt });
    box.querySelector("figcaption").textContent = album[at].dataset.text || image.title || image.alt;
    for (const button of box.querySelectorAll("[data-step]")) button.hidden = album.length < 2;
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".zoom");
    if (!button || !box) return;
    album = [...(button.closest("[data-album]") || button.parentNode).querySelectorAll(".zoom")].filter((b) => b.offsetParent);
    at = album.indexOf(button);
    look(0);
    box.showModal();
  });
  box?.addEventListener("click", (event) => {
    const step = event.target.closest("[data-step]");
    if (step) look(Number(step.dataset.step));
    else if (event.target === box || event.target.closest("[data-close]")) box.close();
  });
  box?.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) { event.preventDefault(); look(step); }
  });
  box?.addEventListener("close", () => album[at]?.focus());

  // table.sortable: a click on a heading sorts by data-value, or by text.
  for (const table of document.querySelectorAll("table.sortable")) {
    const value = (row, place) => { const cell = row.cells[place]; return cell.dataset.value ?? cell.textContent.trim(); };
    table.tHead.addEventListener("click", (event) => {
      const head = event.target.closest("button.sort")?.closest("th");
      if (!head) return;
      const up = head.getAttribute("aria-sort") === "descending", place = head.cellIndex;
      for (const other of table.tHead.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].map((row) => [value(row, place), row]);
      const number = rows.every(([v]) => v === "" || !isNaN(v));
      rows.sort(([a], [b]) => (number ? a - b : a.localeCompare(b)) * (up ? 1 : -1));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  }
  // input[data-find="#id"] hides the rows of a table that do not hold its text.
  for (const input of document.querySelectorAll("input[data-find]")) {
    const rows = () => [...document.querySelector(input.dataset.find).tBodies[0].rows];
    input.addEventListener("input", () => {
      const wanted = input.value.toLocaleLowerCase();
      let left = 0;
      for (const row of rows()) { row.hidden = ![...row.cells].some((cell) => cell.textContent.toLocaleLowerCase().includes(wanted)); left += !row.hidden; }
      const none = document.querySelector(`${input.dataset.find}-none`);
      if (none) none.hidden = left > 0;
    });
  }
  return { make, dark };
})();
