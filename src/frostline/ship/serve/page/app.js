// The page: what is dropped, pasted, chosen or photographed becomes an item, and items are asked and shown.
import * as ask from "./ask.js";
import { download, table } from "./csv.js";
import { detail, row } from "./show.js";
import { listed, percent, share, speak, switchLanguage, word } from "./words.js";

const at = (id) => document.getElementById(id);
const state = { items: [], chosen: null, coverage: 2, sets: false };
let about = null;
let saying = () => "";

function say(text) {
  saying = text;
  at("status").textContent = text();
}

function introduce() {
  if (!about) return;
  const shown = about.classes.slice(0, 8);
  at("knows").textContent = word("knows", listed(shown), about.classes.length - shown.length);
  const split = ["test", "val", "cross-validation"].find((name) => about.metrics[name]?.accuracy);
  const figure = split && about.metrics[split].accuracy;
  at("measured").textContent = figure
    ? word("measured", split, percent(figure.value), percent(figure.low), percent(figure.high), figure.n) : "";
}

// Pictures to click on. They come as any answer does, with the token; a click sends one like a picture of one's own.
async function offer() {
  const named = about.samples ?? [];
  const blobs = await Promise.all(named.map((name, number) => ask.sample(number).catch(() => null)));
  const buttons = blobs.map((blob, number) => {
    if (!blob) return null;
    const button = document.createElement("button"), image = document.createElement("img");
    Object.assign(button, { type: "button", className: "sample", title: named[number] });
    Object.assign(image, { src: URL.createObjectURL(blob), alt: named[number] });
    button.append(image);
    button.addEventListener("click", () => take([new File([blob], named[number], { type: "image/jpeg" })]));
    return button;
  }).filter(Boolean);
  const title = at("samples-title");
  title.dataset.word = about.samples_unseen ? "samples" : "samples_seen";
  title.textContent = word(title.dataset.word);
  at("samples-row").replaceChildren(...buttons);
  at("samples").hidden = !buttons.length;
}

function show() {
  const { items, chosen } = state;
  at("answers").hidden = !items.length;
  at("pictures").classList.toggle("small", Boolean(items.length));
  at("batch").hidden = items.length < 2;
  at("set-head").hidden = !state.sets;
  at("count").textContent = word("count", items.length);
  if (chosen) at("detail").replaceChildren(...detail(chosen, state, { explain: about.explain, classes: about.classes.length, look, cover }));
  at("rows").replaceChildren(...items.map((item) => row(item, state, choose)));
}

function cover(index) {
  state.coverage = index;
  at("rows").replaceChildren(...state.items.map((item) => row(item, state, choose)));
}

function choose(item) {
  state.chosen = item;
  show();
  const line = at("rows").children[state.items.indexOf(item)];
  line?.querySelector("button").focus({ preventScroll: true });
  at("detail").scrollIntoView({ block: "nearest" });
}

async function look(item) {
  if (item.drawing) return;
  item.heatFault = "";
  if (item.heat) {
    URL.revokeObjectURL(item.heat);
    item.heat = null;
  } else {
    item.drawing = true;
    show();
    try {
      item.heat = URL.createObjectURL(await ask.heat(item, item.result.classes[0].label));
    } catch (error) {
      item.heatFault = error instanceof ask.Fault ? error.message : word("away");
    }
    item.drawing = false;
  }
  show();
  at("why")?.focus({ preventScroll: true });
}

async function take(files) {
  const others = [...files].filter((file) => file.type && !file.type.startsWith("image/")).map((file) => file.name);
  const fresh = [...files].filter((file) => !others.includes(file.name))
    .map((file) => ({ file, name: file.name || "picture", url: URL.createObjectURL(file) }));
  await started;
  if (!about) return;
  if (!fresh.length) {
    if (others.length) say(() => word("not_pictures", listed(others)));
    return;
  }
  const { limits } = about;
  for (const item of fresh) {
    if (item.file.size > limits.max_bytes - 16384) item.result = { error: word("large", `${limits.max_bytes >> 20} MB`) };
  }
  state.items.push(...fresh);
  [state.chosen] = fresh;
  show();
  at("detail").scrollIntoView({ block: "nearest" });
  let done = fresh.filter((item) => item.result).length;
  say(() => word("working", done, fresh.length));
  await ask.predict(fresh.filter((item) => !item.result), limits, about.sets, (group) => {
    done += group.length;
    say(() => word("working", done, fresh.length));
    show();
  }, () => say(() => word("busy")));
  const faults = fresh.filter((item) => item.result.error).length;
  const [first] = fresh;
  if (fresh.length === 1 && !faults) say(() => word("said", first.name, first.result.label || word("nothing"), share(first.result.probability)));
  else say(() => word("done", fresh.length - faults, faults));
  if (others.length) {
    const before = saying;
    say(() => `${before()} ${word("not_pictures", listed(others))}`);
  }
  show();
}

function clear() {
  for (const item of state.items) {
    URL.revokeObjectURL(item.url);
    if (item.heat) URL.revokeObjectURL(item.heat);
  }
  Object.assign(state, { items: [], chosen: null });
  at("detail").replaceChildren();
  say(() => "");
  show();
  at("choose").focus();
}

async function camera() {
  if (!navigator.mediaDevices?.getUserMedia) {  // not over plain HTTP from another machine: a phone's own camera then
    at("snap").click();
    return;
  }
  try {
    at("video").srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    at("viewfinder").showModal();
  } catch (error) {
    say(() => `${word("no_camera")} ${error.message}`);
  }
}

function shoot() {
  const video = at("video"), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => {
    at("viewfinder").close();
    take([new File([blob], `camera-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.jpg`, { type: "image/jpeg" })]);
  }, "image/jpeg", 0.95);
}

async function begin() {
  try {
    about = await ask.info();
  } catch (error) {
    at("door").hidden = error.status !== 401;
    at("pictures").hidden = error.status === 401;
    if (error.status !== 401) say(() => (error instanceof ask.Fault ? error.message : word("away")));
    return false;
  }
  at("door").hidden = true;
  at("pictures").hidden = false;
  state.sets = about.sets;
  introduce();
  offer();
  return true;
}

at("door").addEventListener("submit", async (event) => {
  event.preventDefault();
  ask.useToken(at("token").value.trim());
  at("wrong").textContent = "";
  if (await begin()) at("choose").focus();
  else at("wrong").textContent = word("wrong");
});
at("language").addEventListener("click", async () => {
  await switchLanguage();
  introduce();
  at("status").textContent = saying();
  if (state.items.length) show();
});
at("choose").addEventListener("click", () => at("files").click());
at("camera").addEventListener("click", camera);
at("shoot").addEventListener("click", shoot);
at("leave").addEventListener("click", () => at("viewfinder").close());
at("viewfinder").addEventListener("close", () => {
  for (const track of at("video").srcObject?.getTracks() ?? []) track.stop();
  at("video").srcObject = null;
});
for (const id of ["files", "snap"]) {
  at(id).addEventListener("change", ({ target }) => { take(target.files); target.value = ""; });
}
at("csv").addEventListener("click", () => download("predictions.csv", table(state.items, ask.COVERAGES[state.coverage])));
at("clear").addEventListener("click", clear);

const over = (event) => {
  event.preventDefault();
  at("pictures").classList.toggle("over", event.type === "dragover");
};
for (const type of ["dragover", "dragleave", "drop"]) document.addEventListener(type, over);
document.addEventListener("drop", (event) => take(event.dataTransfer.files));
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) take(event.clipboardData.files);
});

speak();
const started = begin();
