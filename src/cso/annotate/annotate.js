"use strict";
/* The page: one item at a time. Texts go in as text nodes only. */
const SHOWN = 6; // turns of a conversation that are shown at once; earlier ones open on demand
const part = (id) => document.getElementById(id);
let answers = recalled();
let kept = answers !== null && keep(answers);
let unsaved = false; // changes that are neither kept nor saved
let place = 0; // of the item
let since = 0; // from when on the time on the item is still to be counted; 0 while nobody looks
answers ??= {};

function make(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const said = (text) => make("div", { dir: "auto" }, text);
const sides = (item) => (item.replies.length > 1 ? ["Reply A", "Reply B"] : ["The reply"]);
const inSight = () => !part("item").hidden;
const firstOpen = () => told.items.findIndex(({ id }) => !isWhole(answers[id]));
const fields = () => [...part("fields").children];

/* Showing */

function turnList(turns) {
  const one = ({ speaker, name, text }) => make("li", { class: `turn ${speaker}` }, make("b", {}, name), said(text));
  return make("ol", { class: "said" }, ...turns.map(one));
}

function conversation({ history }) {
  const talk = make("div", { class: "talk", tabindex: 0, role: "region", "aria-labelledby": "talk" });
  const early = history.slice(0, -SHOWN);
  if (early.length) {
    const count = `${early.length} earlier turn${early.length > 1 ? "s" : ""}`;
    talk.append(make("details", {}, make("summary", {}, count), turnList(early)));
  }
  talk.append(turnList(history.slice(-SHOWN)));
  return talk;
}

function replyBox(name, { text }) {
  const box = make("div", { tabindex: 0, role: "region", "aria-label": name, dir: "auto" }, text || "(no words)");
  return make("div", { class: "reply" }, make("h2", {}, name), box);
}

function strategyList(item) {
  const entries = item.replies.map(({ strategy }, side) => {
    const entry = make("li", {}, item.replies.length > 1 ? `${"AB"[side]}: ` : "Intended: ");
    const known = told.strategies[strategy];
    const name = make("span", known ? { class: "strategy" } : {}, strategy ?? "none named");
    if (known) name.style.setProperty("--colour", known.colour);
    entry.append(name, known ? `. ${known.definition}` : "");
    return entry;
  });
  return make("ul", { class: "strategies" }, ...entries);
}

function field({ name, definition, strategy }, number, item) {
  const about = make("p", { class: "note", id: `about-${number}` }, definition);
  const choices = make("div", { class: "choices" });
  for (const value of VALUES) {
    const radio = make("input", { type: "radio", name: `criterion-${number}`, value, "aria-describedby": about.id });
    radio.addEventListener("change", () => mark(name, value));
    choices.append(make("label", {}, radio, { A: "A better", tie: "Tie", B: "B better" }[value] ?? String(value)));
  }
  const set = make("fieldset", {}, make("legend", {}, name), about, ...(strategy ? [strategyList(item)] : []), choices);
  if (told.kind === "single") {
    set.append(make("p", { class: "ends", "aria-hidden": "true" }, make("span", {}, "not at all"), make("span", {}, "fully")));
  }
  return set;
}

function show(section) {
  for (const id of ["start", "item", "end"]) part(id).hidden = id !== section;
  part("help").hidden = section === "start";
  window.scrollTo(0, 0);
  (section === "start" ? part("begin") : part(section).querySelector("h1")).focus({ preventScroll: true });
}

function showItem(to) {
  leave();
  place = to;
  const item = told.items[place];
  part("place").textContent = `Item ${place + 1} of ${told.items.length}`;
  const heading = make("h2", { id: "talk" }, "The conversation so far");
  const replies = item.replies.map((reply, side) => replyBox(sides(item)[side], reply));
  part("texts").replaceChildren(heading, conversation(item), make("div", { class: "replies" }, ...replies));
  part("fields").replaceChildren(...told.criteria.map((criterion, number) => field(criterion, number, item)));
  part("back").disabled = place === 0;
  part("next").textContent = place === told.items.length - 1 ? "Finish" : "Next";
  part("comment").value = answers[item.id]?.comment ?? "";
  refresh();
  show("item");
  lapse();
  const talk = part("texts").querySelector(".talk");
  talk.scrollTop = talk.scrollHeight;
}

function showEnd() {
  leave();
  const left = told.items.filter(({ id }) => !isWhole(answers[id])).length;
  part("result").textContent = left ? "Not finished yet" : "All done";
  part("missing").textContent = left
    ? `${left} of ${told.items.length} items still lack marks. You can save all the same: the result then says that it is incomplete.`
    : "Every item has its marks.";
  part("unanswered").hidden = left === 0;
  refresh();
  show("end");
}

/** Bring marks, comment and counts in line with the answers. */
function refresh() {
  const done = told.items.filter(({ id }) => isWhole(answers[id])).length;
  part("progress").max = told.items.length;
  part("progress").value = done;
  part("done").textContent = `${done} of ${told.items.length} done`;
  part("open").disabled = firstOpen() < 0;
  part("warning").hidden = kept;
  part("warning").textContent = kept
    ? ""
    : "This browser does not keep your progress (its storage is switched off or full). Use “Save result” often; to go on later, open the saved file under Instructions.";
  part("keeping").hidden = !kept;
  part("begin").textContent = done || Object.keys(answers).length ? "Go on" : "Begin";
  const answer = answers[told.items[place].id];
  fields().forEach((set, number) => {
    const value = answer?.marks[told.criteria[number].name];
    for (const radio of set.querySelectorAll("input")) radio.checked = radio.value === String(value);
  });
  if (document.activeElement !== part("comment")) part("comment").value = answer?.comment ?? "";
}

/* Changing */

/** The seconds that went by in sight of the item since the last call. */
function lapse() {
  const seconds = since ? (Date.now() - since) / 1000 : 0;
  since = document.hidden || !inSight() ? 0 : Date.now();
  return seconds;
}

const longer = (answer, seconds) => Math.round(10 * ((answer?.seconds ?? 0) + seconds)) / 10;

/** Change the answer to this item, upon whatever another tab has kept meanwhile. */
function change(contents) {
  const { id } = told.items[place];
  answers = merged(answers, recalled() ?? {});
  answers[id] = changed(answers[id], { ...contents(answers[id]), seconds: longer(answers[id], lapse()) });
  store();
}

function store() {
  kept = keep(answers);
  unsaved = !kept;
  refresh();
}

function mark(name, value) {
  change((answer) => ({ marks: { ...answer?.marks, [name]: value } }));
  part("say").textContent = "";
}

/** The time spent on an item that has an answer is kept as it goes out of sight. */
function leave() {
  const answer = answers[told.items[place].id];
  const seconds = lapse();
  if (!answer || !seconds) return;
  answer.seconds = longer(answer, seconds);
  answers = merged(recalled() ?? {}, answers);
  kept = keep(answers);
}

function save() {
  leave();
  const content = result(answers);
  const url = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }));
  const link = make("a", { href: url, download: `${told.rater}.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  unsaved = false;
  const whole = content.answers.filter((answer) => isWhole(answer)).length;
  part("say").textContent = content.complete
    ? `Saved as ${told.rater}.json: complete.`
    : `Saved as ${told.rater}.json: incomplete, ${whole} of ${told.items.length} items.`;
}

async function load(file) {
  try {
    const found = opened(await file.text());
    answers = merged(merged(answers, recalled() ?? {}), found);
    store();
    part("say").textContent = `The file's ${Object.keys(found).length} answers are here; where you had answered too, the later marks stand.`;
  } catch (error) {
    part("say").textContent = error.message;
  }
}

/* Going about */

function go(to) {
  if (to < 0) return;
  const lacking = inSight() && !isWhole(answers[told.items[place].id]) ? `Item ${place + 1} still lacks marks.` : "";
  if (to < told.items.length) showItem(to);
  else showEnd();
  part("say").textContent = lacking;
}

function press(event) {
  if (!inSight() || event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.repeat) return;
  if (event.target.closest("textarea, button, summary, [type=checkbox]") && event.key === "Enter") return;
  if (event.target.closest("textarea")) return;
  const value = VALUES[Number(event.key) - 1];
  if (event.key === "Enter") {
    event.preventDefault();
    go(place + (event.shiftKey ? -1 : 1));
  } else if (value !== undefined && part("digits").checked) {
    event.preventDefault();
    markNext(value);
  }
}

/** Mark the criterion that has the focus, else the first without a mark, and go on to the one after it. */
function markNext(value) {
  const marks = answers[told.items[place].id]?.marks ?? {};
  const sets = fields();
  const focused = sets.indexOf(document.activeElement.closest("fieldset"));
  const number = focused >= 0 ? focused : told.criteria.findIndex(({ name }) => marks[name] === undefined);
  if (number < 0) return;
  mark(told.criteria[number].name, value);
  const next = sets[number + 1];
  (next ? (next.querySelector(":checked") ?? next.querySelector("input")) : part("next")).focus();
}

document.addEventListener("keydown", press);
document.addEventListener("visibilitychange", leave);
window.addEventListener("storage", (event) => {
  if (event.key !== KEPT && event.key !== null) return;
  answers = merged(answers, recalled() ?? {});
  if (event.newValue === null) keep(answers);
  refresh();
  part("say").textContent = "This page is open in another tab too; what you mark in either is kept together.";
});
window.addEventListener("beforeunload", (event) => unsaved && event.preventDefault());
window.addEventListener("pagehide", leave);
part("begin").addEventListener("click", () => (firstOpen() < 0 ? showEnd() : showItem(firstOpen())));
part("help").addEventListener("click", () => {
  leave();
  show("start");
  lapse();
});
part("back").addEventListener("click", () => go(place - 1));
part("next").addEventListener("click", () => go(place + 1));
part("again").addEventListener("click", () => showItem(place));
for (const id of ["open", "unanswered"]) part(id).addEventListener("click", () => (firstOpen() < 0 ? showEnd() : showItem(firstOpen())));
for (const id of ["save", "finish"]) part(id).addEventListener("click", save);
part("load").addEventListener("change", async ({ target }) => {
  if (target.files[0]) await load(target.files[0]);
  target.value = ""; // so that the same file can be chosen again
});
part("comment").addEventListener("input", ({ target }) => change(() => ({ comment: target.value })));
part("marks").addEventListener("submit", (event) => event.preventDefault());
part("count").textContent = told.items.length;
part("criteria").append(...told.criteria.flatMap(({ name, definition }) => [make("dt", {}, name), make("dd", {}, definition)]));
refresh();
part("begin").focus({ preventScroll: true });
