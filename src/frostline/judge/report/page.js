// The report: galleries of the confusion matrix, the heat map of many classes, the map of features, all predictions.
(() => {
  const { make, dark } = page;
  const at = (id) => document.getElementById(id);
  const given = JSON.parse(at("given").textContent), say = at("say").dataset;
  const { words, thumbs } = given, K = given.classes;
  const rows = given.rows.map(([folder, name, ...rest]) => [given.folders[folder] + name, ...rest]);
  const style = (name) => {  // a colour of the design sheet as it is now, light or dark
    const probe = make("i"); probe.style.color = `var(--${name})`; document.body.append(probe);
    const found = getComputedStyle(probe).color; probe.remove(); return found;
  };
  const filled = (text, first, second) => text.replace(/[#%]/g, (mark) => (mark === "#" ? first : second));  // in one go: names hold such marks too
  const counted = (count) => count.toLocaleString("en");
  const pair = (truth, answer) => filled(say.is, words[truth], words[answer]);
  const short = (name) => name.split("/").pop();
  const middle = (text, most) => (text.length <= most ? text : `${text.slice(0, Math.ceil(most / 2) - 1)}…${text.slice(text.length - Math.floor(most / 2))}`);
  const percent = (mille) => (mille >= 1000 ? ">\u202f99.9 %" : `${(mille / 10).toFixed(mille < 995 ? 0 : 1)} %`);
  const about = (index) => { const [name, truth, answer, sure] = rows[index]; return `${name}\n${pair(truth, answer)}, ${percent(sure)}`; };
  const picture = (index) => {
    if (!thumbs[index]) return make("div", short(rows[index][0]), "gone");
    const button = make("button", "", "zoom");
    button.type = "button";
    button.dataset.text = about(index);
    button.setAttribute("aria-label", filled(say.enlarge, rows[index][0]));
    button.append(Object.assign(make("img"), { src: thumbs[index], alt: rows[index][0] }));
    return button;
  };

  for (const image of document.querySelectorAll("img[data-thumb]")) image.src = thumbs[image.dataset.thumb];

  // Galleries: a button with data-cell shows the pictures of that truth and answer.
  const cells = new Map();
  rows.forEach(([, truth, answer], index) => {
    if (truth >= K || answer >= K) return;
    const key = `${truth}-${answer}`;
    if (!cells.has(key)) cells.set(key, []);
    cells.get(key).push(index);
  });
  for (const own of cells.values()) own.sort((a, b) => (b in thumbs) - (a in thumbs) || rows[a][4] - rows[b][4] || (rows[a][4] ? rows[a][3] - rows[b][3] : rows[b][3] - rows[a][3]));
  const panel = at("cell"), more = at("more"), gallery = panel.querySelector(".gallery");
  const PAGE = 48;
  let open = null, list = [], shown = 0;
  const add = () => {
    for (const index of list.slice(shown, shown + PAGE)) {
      const figure = make("figure"), caption = make("figcaption");
      caption.append(make("b", percent(rows[index][3])), ` ${short(rows[index][0])}`);
      figure.title = rows[index][0];
      figure.append(picture(index), caption);
      gallery.append(figure);
    }
    shown = Math.min(list.length, shown + PAGE);
    more.hidden = shown >= list.length;
    const count = Number(open.dataset.count);
    panel.querySelector(".note").textContent = !count ? say.none : shown < count ? filled(say.shown, shown, counted(count)) : "";
  };
  const show = (button) => {
    if (open) open.setAttribute("aria-pressed", "false");
    const again = open === button;
    open = again ? null : button;
    panel.hidden = again;
    if (again) return;
    button.setAttribute("aria-pressed", "true");
    const [truth, answer] = button.dataset.cell.split("-").map(Number);
    panel.querySelector("h3").textContent = `${pair(truth, answer)} · ${button.dataset.count}`;
    gallery.replaceChildren();
    list = cells.get(button.dataset.cell) || [];
    shown = 0;
    add();
    if (panel.getBoundingClientRect().top > innerHeight - 120) panel.scrollIntoView({ block: "nearest" });
  };
  at("errors").addEventListener("click", (event) => {
    const button = event.target.closest("[data-cell]");
    if (button) show(button);
  });
  more.addEventListener("click", add);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && open && !document.querySelector("dialog[open]")) { const was = open; show(open); was.focus(); return; }
    const here = document.activeElement;
    if (!here?.dataset?.cell) return;
    const box = here.closest("table, .pairs"), buttons = [...box.querySelectorAll("button")];
    const wide = box.tagName === "TABLE" ? box.querySelector("tbody tr").querySelectorAll("button").length : 1;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide, ArrowUp: -wide }[event.key];
    const next = step && buttons[buttons.indexOf(here) + step];
    if (next) { event.preventDefault(); next.focus(); }
  });

  // The heat map of more classes than a table can show, and the part of it that is enlarged.
  const heat = at("heat");
  if (heat) {
    const canvas = heat.querySelector("canvas"), pen = canvas.getContext("2d"), size = canvas.width / K;
    const count = new Map(given.cells.map(([t, a, n]) => [t * K + a, n]));
    const most = given.cells.reduce((m, [, , n]) => Math.max(m, n), 1), readout = heat.querySelector(".readout");
    const draw = () => {
      pen.clearRect(0, 0, canvas.width, canvas.height);
      const colours = { right: style("right"), wrong: style("wrong") };
      for (const [t, a, n] of given.cells) {
        pen.globalAlpha = t === a ? 0.15 + 0.75 * Math.sqrt(n / most) : 0.35 + 0.65 * Math.sqrt(n / most);
        pen.fillStyle = colours[t === a ? "right" : "wrong"];
        const side = Math.max(size, t === a ? 2.5 : 4);  // of 1,000 classes a mistake is still to be seen
        pen.fillRect(a * size + (size - side) / 2, t * size + (size - side) / 2, side, side);
      }
      pen.globalAlpha = 1;
    };
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientY - box.top, event.clientX - box.left].map((v) => Math.min(K - 1, Math.max(0, Math.floor(v / box.width * K))));
    };
    const near = ([t, a]) => {  // a mistake that is drawn under the pointer, although its cell is less than a pixel wide
      const reach = Math.max(0, Math.ceil(3 / Math.max(size, 0.01)));
      let best = [t, a], far = Infinity;
      if (!count.has(t * K + a)) for (const [x, y] of given.cells) {
        const d = Math.max(Math.abs(x - t), Math.abs(y - a));
        if (d <= reach && d < far && reach) [best, far] = [[x, y], d];
      }
      return best;
    };
    canvas.addEventListener("mousemove", (event) => {
      const [t, a] = near(place(event));
      readout.textContent = `${pair(t, a)}: ${count.get(t * K + a) || 0}`;
    });
    canvas.addEventListener("mouseleave", () => { readout.textContent = "\u00a0"; });
    const enlarge = (truths, answers) => {
      const table = at("zoomed").querySelector("table"), head = make("thead"), body = make("tbody"), top = make("tr");
      top.append(make("td"), ...answers.map((a) => { const th = make("th"); th.scope = "col"; th.title = words[a]; th.append(make("span", middle(words[a], 15))); return th; }));
      head.append(top);
      const most = Math.max(1, ...truths.flatMap((t) => answers.map((a) => count.get(t * K + a) || 0)));
      for (const t of truths) {
        const line = make("tr"), name = make("th", middle(words[t], 28));
        name.scope = "row"; name.title = words[t];
        line.append(name, ...answers.map((a) => {
          const n = count.get(t * K + a) || 0, cell = make("td"), button = make("button", String(n), `${t === a ? "hit" : "miss"}${n ? "" : " none"}`);
          button.type = "button";
          Object.assign(button.dataset, { cell: `${t}-${a}`, count: n });
          button.style.setProperty("--share", Math.sqrt(n / most).toFixed(3));
          button.setAttribute("aria-label", `${pair(t, a)}: ${n}`);
          if (!n) button.tabIndex = -1;
          cell.append(button);
          return cell;
        }));
        body.append(line);
      }
      table.replaceChildren(head, body);
      at("zoomed").hidden = false;
      at("zoomed").scrollIntoView({ block: "nearest" });
    };
    canvas.addEventListener("click", (event) => {
      const around = (centre) => Array.from({ length: Math.min(13, K) }, (_, i) => Math.min(Math.max(0, centre - 6), Math.max(0, K - 13)) + i);
      const [t, a] = near(place(event));
      enlarge(around(t), around(a));
    });
    at("confused").addEventListener("click", () => {
      const wrong = new Map();
      for (const [t, a, n] of given.cells) if (t !== a) for (const k of [t, a]) wrong.set(k, (wrong.get(k) || 0) + n);
      const worst = [...wrong].sort((a, b) => b[1] - a[1]).slice(0, 13).map(([k]) => k).sort((a, b) => a - b);
      enlarge(worst, worst);
    });
    document.addEventListener("theme", draw);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    draw();
  }

  // The map of features: a point for each picture, a ring for a mistake.
  const map = at("picture-map");
  if (map) {
    const canvas = map.querySelector("canvas"), pen = canvas.getContext("2d"), tip = map.querySelector(".tip"), chosen = at("map-class");
    const points = rows.map((row, index) => [index, row[5], row[6]]).filter(([, x]) => x !== undefined);
    const kinds = [...new Set(points.map(([index]) => rows[index][1]))].sort((a, b) => a - b);  // of several labels: all together
    const MARGIN = 26, many = kinds.length > 8;
    const spot = ([, x, y]) => [MARGIN + x / 1000 * (canvas.width - 2 * MARGIN), canvas.height - MARGIN - y / 1000 * (canvas.height - 2 * MARGIN)];
    const colour = (truth) => many ? style(chosen.value === String(truth) ? "ice" : "soft") : style(`hue-${kinds.indexOf(truth)}`);
    const draw = () => {
      pen.clearRect(0, 0, canvas.width, canvas.height);
      const colours = new Map(), ring = style("wrong");
      const radius = points.length > 4000 ? 2.2 : points.length > 800 ? 3.4 : 5;
      for (const point of points) {
        const [, truth, , , right] = rows[point[0]], [x, y] = spot(point);
        const other = chosen.value !== "" && chosen.value !== String(truth);
        if (!colours.has(truth)) colours.set(truth, colour(truth));
        pen.globalAlpha = other ? 0.12 : 0.75;
        pen.fillStyle = colours.get(truth);
        pen.beginPath(); pen.arc(x, y, radius, 0, 7); pen.fill();
        if (!right && !other) { pen.globalAlpha = 1; pen.strokeStyle = ring; pen.lineWidth = 2.2; pen.beginPath(); pen.arc(x, y, radius + 3.5, 0, 7); pen.stroke(); }
      }
      pen.globalAlpha = 1;
    };
    const under = (event) => {
      const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
      const [px, py] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
      let best = null, far = 14 * scale;
      for (const point of points) {
        if (chosen.value !== "" && chosen.value !== String(rows[point[0]][1])) continue;
        const [x, y] = spot(point), d = Math.hypot(x - px, y - py);
        if (d < far) [best, far] = [point, d];
      }
      return best;
    };
    const point = (event) => {
      const found = under(event);
      tip.hidden = !found;
      canvas.style.cursor = found ? "pointer" : "";
      if (!found) return;
      const box = canvas.getBoundingClientRect(), [x, y] = spot(found).map((v) => v * box.width / canvas.width);
      tip.replaceChildren(picture(found[0]), make("p", about(found[0])));
      tip.style.left = `${Math.min(x + 12, box.width - 190)}px`;
      tip.style.top = `${y + 12}px`;
    };
    canvas.addEventListener("mousemove", point);
    canvas.addEventListener("click", (event) => { point(event); if (!tip.hidden) tip.querySelector(".zoom")?.click(); });
    map.addEventListener("mouseleave", () => { tip.hidden = true; });
    for (const k of kinds) chosen.append(new Option(middle(words[k] || "–", 40), k));
    chosen.addEventListener("change", draw);
    const keys = at("map-keys");
    const key = (name, text) => { const li = make("li"), mark = make("i", "", name); li.append(mark, text); keys.append(li); };
    if (!many) kinds.forEach((k, place) => key(`key-dot hue-${place}`, words[k] || "–"));
    key("key-ring", say.wrong);
    document.addEventListener("theme", draw);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    draw();
  }

  // All predictions: only the rows in sight are in the page, so that 50,000 scroll as well as 50.
  const box = at("prediction-rows");
  if (box) {
    const HEIGHT = 44, inside = box.firstElementChild;
    const [find, truth, answer, wrong, order] = ["find-prediction", "truth", "answer", "only-wrong", "order"].map(at);
    for (const [select, place] of [[truth, 1], [answer, 2]]) {
      const known = [...new Set(rows.map((row) => row[place]))].sort((a, b) => words[a].localeCompare(words[b]));
      for (const k of known) select.append(new Option(middle(words[k] || "–", 40), k));
    }
    let left = [], first = -1;
    const line = (index, top) => {
      const [name, t, a, sure, right] = rows[index], row = make("div", "", `row${right ? "" : " bad"}`);
      row.style.top = `${top}px`;
      const said = make("span", "", "said");
      said.append(make("b", middle(words[a] || "–", right ? 34 : 20)), right ? "" : ` ≠ ${middle(words[t] || "–", 20)}`);
      said.title = pair(t, a);
      const file = make("span", name, "file"); file.title = name;
      row.append(picture(index), file, said, make("span", percent(sure), "sure"), make("span", right ? say.right : say.wrong, "mark-right"));
      return row;
    };
    const paint = (again) => {
      const start = Math.max(0, Math.floor(box.scrollTop / HEIGHT) - 6);
      if (!again && start === first) return;
      first = start;
      const end = Math.min(left.length, start + Math.ceil(box.clientHeight / HEIGHT) + 12);
      inside.replaceChildren(...left.slice(start, end).map((index, i) => line(index, (start + i) * HEIGHT)));
    };
    const filter = () => {
      const wanted = find.value.trim().toLocaleLowerCase();
      left = rows.map((_, index) => index).filter((index) => {
        const [name, t, a, , right] = rows[index];
        return (truth.value === "" || t === Number(truth.value)) && (answer.value === "" || a === Number(answer.value)) && !(wrong.checked && right)
          && (!wanted || `${name}\n${words[t]}\n${words[a]}`.toLocaleLowerCase().includes(wanted));
      });
      const by = { name: (a, b) => rows[a][0].localeCompare(rows[b][0]), sure: (a, b) => rows[b][3] - rows[a][3], unsure: (a, b) => rows[a][3] - rows[b][3] }[order.value];
      if (by) left.sort(by);
      inside.style.height = `${left.length * HEIGHT}px`;
      box.scrollTop = 0;
      at("prediction-count").textContent = left.length === rows.length ? filled(say.pictures, counted(left.length)) : filled(say.shown, counted(left.length), counted(rows.length));
      paint(true);
    };
    for (const control of [find, truth, answer, wrong, order]) control.addEventListener("input", filter);
    box.addEventListener("scroll", () => paint(false), { passive: true });
    at("prediction-csv").addEventListener("click", () => {
      const safe = (text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);  // a spreadsheet must not run it as a formula
      const cell = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
      const lines = left.map((index) => { const [name, t, a, sure, right] = rows[index]; return [safe(name), safe(words[t]), safe(words[a]), String(sure / 1000), String(right)].map(cell).join(","); });
      const link = make("a");
      link.href = URL.createObjectURL(new Blob(["\ufeff", "name,label,predicted,probability,right\r\n", lines.join("\r\n"), "\r\n"], { type: "text/csv" }));
      link.download = "predictions.csv";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
    filter();
  }
})();
