// What the page says. Chinese is in zh.json, the table of all pages; a sentence's English is its key.
const en = {
  skip: "Skip to the pictures", title: "What does the picture show?", pictures: "Pictures",
  drop: "Drop pictures here", touch: "Choose pictures, or take one", paste: "or paste one with Ctrl+V", choose: "Choose pictures", samples: "or try a picture that it was not trained on:", samples_seen: "or try one of the pictures it was trained on:", camera: "Use the camera",
  answers: "Answers", csv: "Download CSV", clear: "Clear", picture: "Picture", answer: "Answer", probability: "Probability",
  set: "Set", kept: "Pictures are answered in memory and never stored.", api: "For programs: the API",
  shoot: "Take the picture", close: "Close", token: "This server asks for a token.", enter: "Enter",
  wrong: "That is not the token.",
  knows: (names, more) => (more ? ["It knows {names} and {more} more.", { names, more }] : ["It knows {names}.", { names }]),
  measured: (split, value, low, high, n) => (split in en
    ? ["{value} of {n} {split} pictures right (95 % interval {low} to {high})", { split: word(split), value, low, high, n }]
    : ["{value} of {n} pictures right, each judged by a model that had not seen it (95 % interval {low} to {high})", { value, low, high, n }]),
  train: "train", val: "val", test: "test",
  working: (done, all) => (all === 1 ? ["Looking …", {}] : ["Looking: {done} of {all} …", { done, all }]),
  done: (all, faults) => (!all ? ["Not readable.", {}] : faults ? ["{all} answered, {faults} not readable.", { all, faults }] : ["{all} answered.", { all }]),
  said: (name, label, share) => ["{name}: {label}, {share}", { name, label, share }],
  count: (n) => ["{n} pictures", { n }],
  fault: "It cannot be read:", unreadable: (reason) => [reason.startsWith("cannot be ") ? "{reason}" : "cannot be read: {reason}", { reason: sentence(reason) }],
  novel: "Unlike the pictures that it was trained on: perhaps none of these.",
  coverage: (share) => ["A set that contains the true class {share} of the time:", { share }],
  nothing: "None of the classes is likely enough.",
  one: (label) => ["It is {label}.", { label }],
  several: (labels, last) => ["It is {labels} or {last}.", { labels, last }],
  any: "It may be any of the classes.",
  none: "none of these",
  why: "Show where it looks", picture_again: "Show the picture", drawing: "Drawing the heat map …",
  heat: (label) => ["Heat map: the evidence for {label}", { label }],
  large: (size) => ["larger than the server takes ({size})", { size }],
  busy: "The server is busy; trying again …", away: "The server does not answer.",
  no_camera: "The camera cannot be used:",
  not_pictures: (names) => ["Not pictures, and left out: {names}", { names }],
};
let chinese = null, patterns = null;

let language = "en";
try {
  language = localStorage.getItem("language") ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
} catch { /* storage may be forbidden */ }

// The table is fetched where it is read, so that an English page does not wait for it.
async function learn() {
  if (language === "zh") chinese ??= await fetch("page/zh.json").then((answer) => answer.json()).catch(() => ({}));
}
await learn();

const filled = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

// What the server says, such as why a picture cannot be read: in the table as it is, or with places for what it names.
export function sentence(text) {
  if (language !== "zh") return text;
  if (chinese[text]) return chinese[text];
  patterns ??= Object.keys(chinese).filter((key) => /\{\w+\}/.test(key) && /[a-z]{4}/.test(key.replace(/\{\w+\}/g, "")))
    .sort((one, other) => other.length - one.length).map((key) => [pattern(key), key]);
  for (const [form, key] of patterns) {
    const found = form.exec(text)?.groups;
    if (!found) continue;
    const own = Object.entries(found).map(([name, value]) => [name, name.startsWith("what") ? sentence(value) : value]);
    return filled(chinese[key], Object.fromEntries(own));
  }
  return text;
}

function pattern(key) {
  const seen = new Set();
  const place = (_, name) => {
    if (seen.has(name)) return `\\k<${name}>`;
    seen.add(name);
    return `(?<${name}>${name === "n" || name === "m" ? "[\\d,]+" : ".+"})`;
  };
  return new RegExp(`^${key.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{(\w+)\}/g, place)}$`);
}

export function word(key, ...given) {
  const found = en[key], [text, values] = typeof found === "function" ? found(...given) : [found, {}];
  return filled((language === "zh" && chinese[text]) || text, values);
}

export const percent = (p, digits = 1) =>
  new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(p);

// A probability is never shown as certain.
export const share = (p) => (p > 0.999 ? `> ${percent(0.999)}` : p < 0.001 ? `< ${percent(0.001)}` : percent(p));

export const listed = (names) => names.join(language === "zh" ? "、" : ", ");

export function speak() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const place of document.querySelectorAll("[data-word]")) place.textContent = word(place.dataset.word);
  for (const place of document.querySelectorAll("[data-label]")) place.setAttribute("aria-label", word(place.dataset.label));
  const other = document.getElementById("language");
  other.textContent = language === "zh" ? "English" : "中文";
  other.lang = language === "zh" ? "en" : "zh";
}

export async function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  await learn();
  try { localStorage.setItem("language", language); } catch { /* then it is asked again next time */ }
  speak();
}
