// Items become elements. Text goes in by textContent alone, so nothing that a name holds can become markup.
import { COVERAGES } from "./ask.js";
import { listed, percent, sentence, share, word } from "./words.js";

export function made(tag, classes = "", text = "") {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  if (text) element.textContent = text;
  return element;
}

function image(item, alt) {
  if (item.blank) return made("div", "blank");
  const found = made("img");
  found.src = item.url;
  found.alt = alt;
  found.decoding = "async";
  found.loading = "lazy";
  found.addEventListener("error", () => { item.blank = true; found.replaceWith(made("div", "blank")); });
  return found;
}

export const setOf = (item, coverage) => item.result.sets?.[String(coverage)];
export const setText = (members) => (members.length ? listed(members) : word("none"));

// A prediction set as a sentence.
function setSentence(members, classes) {
  if (!members.length) return word("nothing");
  if (members.length === 1) return word("one", members[0]);
  return members.length === classes ? word("any") : word("several", listed(members.slice(0, -1)), members.at(-1));
}

// The chosen picture with all that is known of it. `acts` = { explain, look(item), cover(index) }
export function detail(item, state, acts) {
  const parts = [figure(item, acts), made("div")];
  const side = parts[1], { result } = item;
  if (!result) {
    side.append(made("p", "muted", word("working", 0, 1)));
    return parts;
  }
  if (result.error) {
    const fault = made("p", "fault", result.gone ? word("away") : `${word("fault")} ${sentence(result.error)}`);
    fault.setAttribute("role", "alert");
    side.append(fault);
    return parts;
  }
  side.append(made("p", "said", result.label || word("nothing")));
  const list = made("ul", "classes");
  side.append(list);
  const fills = result.classes.map(({ label, probability }) => {
    const row = made("li");
    row.dataset.name = label;
    const track = made("div", "track"), fill = made("div", "fill");
    track.setAttribute("aria-hidden", "true");
    track.append(fill);
    row.append(made("span", "label", label), made("span", "share", share(probability)), track);
    list.append(row);
    return [fill, probability];
  });
  const draw = () => fills.forEach(([fill, p]) => { fill.style.width = `${100 * p}%`; });
  if (item.drawn) draw();
  else requestAnimationFrame(() => requestAnimationFrame(draw));
  item.drawn = true;
  if (result.novel) side.append(made("p", "note", word("novel")));
  if (result.sets) side.append(sets(item, list, state, acts));
  return parts;
}

function figure(item, acts) {
  const found = made("figure");
  const shown = item.heat ? word("heat", item.result.classes[0].label) : item.name;
  const caption = made("figcaption", "", shown);
  const picture = image(item.heat ? { url: item.heat } : item, shown);
  if (!acts.explain || !item.result?.classes) {
    found.append(picture, caption);
    return found;
  }
  const button = made("button", "pill", word(item.drawing ? "drawing" : item.heat ? "picture_again" : "why"));
  button.type = "button";
  button.id = "why";
  button.setAttribute("aria-pressed", String(Boolean(item.heat)));
  picture.addEventListener("click", () => acts.look(item));
  button.addEventListener("click", () => acts.look(item));
  found.append(picture, caption, button);
  if (item.heatFault) found.append(made("p", "fault-text", item.heatFault));
  return found;
}

function sets(item, list, state, acts) {
  const found = made("div", "sets");
  const label = made("label"), slider = made("input"), members = made("strong");
  slider.type = "range";
  slider.id = "coverage";
  slider.min = 0;
  slider.max = COVERAGES.length - 1;
  slider.value = state.coverage;
  label.htmlFor = "coverage";
  const fill = () => {
    const coverage = COVERAGES[state.coverage], inside = setOf(item, coverage);
    label.textContent = word("coverage", percent(coverage, 0));
    slider.setAttribute("aria-valuetext", `${percent(coverage, 0)}: ${setText(inside)}`);
    members.textContent = setSentence(inside, acts.classes);
    for (const row of list.children) row.classList.toggle("member", inside.includes(row.dataset.name));
  };
  slider.addEventListener("input", () => { acts.cover(Number(slider.value)); fill(); });
  fill();
  found.append(label, slider, members);
  return found;
}

// One line of the table.
export function row(item, state, choose) {
  const line = made("tr", item === state.chosen ? "chosen" : ""), first = made("td"), pick = made("button", "pick");
  pick.type = "button";
  pick.append(image(item, ""), made("span", "", item.name));
  pick.title = item.name;
  pick.addEventListener("click", () => choose(item));
  if (item === state.chosen) pick.setAttribute("aria-current", "true");
  first.append(pick);
  const { result } = item;
  const said = !result ? "…" : result.error ? result.gone ? word("away") : word("unreadable", result.error) : result.label || word("nothing");
  const answer = made("td", result?.error ? "fault-text" : "", said);
  if (result?.novel) answer.append(made("div", "muted", word("novel")));
  line.append(first, answer);
  if (result?.error) {
    answer.colSpan = state.sets ? 3 : 2;  // a reason is longer than a class
    return line;
  }
  line.append(made("td", "number", result?.probability === undefined ? "" : share(result.probability)));
  if (state.sets) line.append(made("td", "", result?.sets ? setText(setOf(item, COVERAGES[state.coverage])) : ""));
  return line;
}
