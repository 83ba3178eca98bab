"use strict";
(() => {
  const root = document.documentElement;
  const dark = () => (root.style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  document.getElementById("theme").addEventListener("click", () => { root.style.colorScheme = dark() ? "light" : "dark"; });

  const table = document.getElementById("matrix");
  if (!table) return;
  const cells = JSON.parse(document.getElementById("pictures").textContent);
  const words = document.getElementById("say").dataset;
  const panel = document.getElementById("cell"), more = document.getElementById("more");
  const [title, note, gallery] = ["h3", ".note", ".gallery"].map((q) => panel.querySelector(q));
  const make = (tag, text, name) => Object.assign(document.createElement(tag), { textContent: text, className: name || "" });
  const PAGE = 48;
  let open = null, rows = [], shown = 0;

  const add = () => {
    for (const [name, sure, source] of rows.slice(shown, shown + PAGE)) {
      const figure = make("figure", ""), caption = make("figcaption", "");
      if (source) figure.append(Object.assign(make("img", ""), { src: source, alt: name }));
      else figure.append(make("div", name, "gone"));
      caption.append(make("b", `${sure.toFixed(0)} %`), ` ${name.split("/").pop()}`);
      figure.title = name;
      figure.append(caption);
      gallery.append(figure);
    }
    shown = Math.min(rows.length, shown + PAGE);
    more.hidden = shown >= rows.length;
    const count = Number(open.dataset.count);
    note.textContent = !count ? words.none : shown < count ? words.first.replace("#", shown).replace("%", count) : "";
  };
  const show = (button) => {
    if (open) open.setAttribute("aria-pressed", "false");
    const again = open === button;
    open = again ? null : button;
    panel.hidden = again;
    if (again) return;
    button.setAttribute("aria-pressed", "true");
    title.textContent = `${button.dataset.title} · ${button.dataset.count}`;
    gallery.replaceChildren();
    rows = cells[button.dataset.cell] || [];
    shown = 0;
    add();
    const place = panel.getBoundingClientRect();
    if (place.top > innerHeight - 120) panel.scrollIntoView({ block: "nearest" });
  };
  table.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) show(button);
  });
  more.addEventListener("click", add);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && open) { const was = open; show(open); was.focus(); return; }
    const here = document.activeElement;
    if (!here || !here.dataset.cell) return;
    const buttons = [...table.querySelectorAll("button")];
    const wide = table.tagName === "TABLE" ? Math.round(Math.sqrt(buttons.length)) : 1;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide, ArrowUp: -wide }[event.key];
    const next = step && buttons[buttons.indexOf(here) + step];
    if (next) { event.preventDefault(); next.focus(); }
  });
})();
