"use strict";

// The pairs of the run: full-text search, filters, and each pair with the history before it.

const PAIRS_AT_ONCE = 20;
const STAGES = ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"];
const ORDERS = {
  written: ["as written", () => 0],
  far: ["largest margin of Q first", (one, other) => marginOfQ(other) - marginOfQ(one)],
  near: ["smallest margin of Q first", (one, other) => marginOfQ(one) - marginOfQ(other)],
  doubtful: ["least liked by the judge first", (one, other) => (one.margin ?? Infinity) - (other.margin ?? Infinity)],
};
const FILTERS = ["text", "chosen", "rejected", "stage", "scene", "q", "judge", "order"]; // names in the address, too

const marginOfQ = (pair) => pair.chosen.q - pair.rejected.q;

let held = null; // texts, pairs; with which stamp they came

async function showPairs(refreshed) {
  const view = document.getElementById("view-pairs");
  if (!index.pairs) {
    held = null;
    view.replaceChildren(el("h1", {}, "Pairs"), el("p", {}, "No pairs yet: `cso extract` takes them from the trees."));
    return;
  }
  if (held?.stamp === index.pairs && refreshed) return;
  if (held?.stamp !== index.pairs) {
    if (!held) view.replaceChildren(el("p", { role: "status" }, "Reading the pairs…"));
    held = { ...(await content("pairs")), stamp: index.pairs };
    held.lower = held.texts.map((text) => text.toLowerCase());
    held.wholes = held.pairs.map((pair) => [pair.chosen.text, pair.rejected.text, ...pair.history.map((turn) => turn[2])]);
    view.replaceChildren(...filterBar());
  }
  const parameters = asked();
  for (const name of FILTERS) fill(document.getElementById(`pairs-${name}`), parameters.get(name));
  listPairs();
}

// A filter as the address has it; what a list does not have counts as not said.
function fill(field, value) {
  field.value = value ?? "";
  if (field.selectedIndex === -1) field.selectedIndex = 0;
}

function filterBar() {
  const strategies = index.strategies.map(({ name }) => [name, name]);
  const scenes = [...new Set(held.pairs.map((pair) => held.texts[pair.scene]))].sort((one, other) => one.localeCompare(other));
  const any = [["", "any"]];
  const choice = (name, label, options) => {
    const select = el("select", { id: `pairs-${name}`, change: () => changed(0) }, options.map(([value, text]) => el("option", { value }, text)));
    return el("label", {}, label, select);
  };
  const entry = (name, label, attributes) => el("label", {}, label, el("input", { id: `pairs-${name}`, input: () => changed(150), ...attributes }));
  return [
    el("h1", {}, "Pairs"),
    el("form", { class: "filters", role: "search", submit: (event) => event.preventDefault() },
      entry("text", "Words", { type: "search" }),
      choice("chosen", "Chosen strategy", [...any, ...strategies]),
      choice("rejected", "Rejected strategy", [...any, ...strategies]),
      choice("stage", "Stage", [...any, ...STAGES.map((stage) => [stage, stage])]),
      choice("scene", "Scene", [...any, ...scenes.filter(Boolean).map((scene) => [scene, scene])]),
      entry("q", "Margin of Q at least", { type: "number", step: "0.1" }),
      entry("judge", "Judge's margin at most", { type: "number", step: "0.1" }),
      choice("order", "Order", Object.entries(ORDERS).map(([name, [words]]) => [name, words]))),
    el("p", { class: "note", id: "pairs-count", role: "status" }),
    el("p", { class: "note" }, "E, I, H, S, reward: the judge's of this very turn; – where it was not asked. `cso extract --judge` asks."),
    el("div", { id: "pairs-found" }),
  ];
}

let waiting = 0;

function changed(wait) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    remember({ pairs: "", ...Object.fromEntries(FILTERS.map((name) => [name, wanted(name)]).filter(([name, value]) => value && !(name === "order" && value === "written"))) });
    listPairs();
  }, wait);
}

const wanted = (name) => document.getElementById(`pairs-${name}`).value.trim();

function listPairs() {
  const words = wanted("text").toLowerCase().split(/\s+/).filter(Boolean);
  const found = matching(words);
  found.sort(ORDERS[wanted("order")]?.[1] ?? ORDERS.written[1]);
  document.getElementById("pairs-count").textContent = `${count(found.length)} of ${plural(held.pairs.length, "pair")}`;
  const place = document.getElementById("pairs-found");
  const more = el("button", { click: () => append().querySelector("h2").focus() }, `Show more of ${count(found.length)}`);
  let shown = 0;
  function append() {
    const next = found.slice(shown, shown + PAIRS_AT_ONCE).map((pair) => pairOf(pair, words));
    shown += next.length;
    more.before(...next);
    more.hidden = shown >= found.length;
    return next[0];
  }
  place.replaceChildren(more);
  append();
}

// Every word must be somewhere in a pair: in its history or in a reply.
function matching(words) {
  const having = words.map((word) => new Set([...held.lower.keys()].filter((place) => held.lower[place].includes(word))));
  const least = wanted("q") === "" ? -Infinity : Number(wanted("q"));
  const most = wanted("judge") === "" ? null : Number(wanted("judge"));
  const [chosen, rejected, stage, scene] = ["chosen", "rejected", "stage", "scene"].map(wanted);
  return held.pairs.filter(
    (pair, place) =>
      (chosen === "" || strategyName(pair.chosen.strategy) === chosen) &&
      (rejected === "" || strategyName(pair.rejected.strategy) === rejected) &&
      (stage === "" || (pair.stage !== null && pair.stage.toFixed(1) === stage)) &&
      (scene === "" || held.texts[pair.scene] === scene) &&
      marginOfQ(pair) >= least &&
      (most === null || (pair.margin !== null && pair.margin <= most)) &&
      having.every((texts) => held.wholes[place].some((text) => texts.has(text))),
  );
}

function pairOf(pair, words) {
  const facts = [`turn ${pair.turn}`, pair.stage === null ? "" : `stage ${number(pair.stage, 1)}`, `margin of Q ${number(marginOfQ(pair))}`, pair.margin === null ? "not both judged" : `judge's margin ${number(pair.margin)}`, pair.weight === 1 ? "" : `weight ${number(pair.weight)}`];
  const history = pair.history.map(([supporter, place, text]) => {
    const made = turn(supporter === 1, place, "");
    made.append(...marked(held.texts[text], words));
    return made;
  });
  const earlier = history.slice(0, -1);
  return el("article", { class: "pair" },
    el("h2", { dir: "auto", tabindex: "-1" }, held.texts[pair.scene] || pair.tree),
    el("p", { class: "note" }, el("bdi", {}, pair.tree), `, ${facts.filter(Boolean).join(", ")}`),
    earlier.length
      ? el("details", { open: words.length > 0 }, el("summary", {}, `Before: ${plural(earlier.length, "turn")}, and the situation`), el("p", { class: "note", dir: "auto" }, held.texts[pair.situation]), el("ol", { class: "said" }, earlier))
      : el("p", { class: "note", dir: "auto" }, held.texts[pair.situation]),
    el("ol", { class: "said" }, history.slice(-1)),
    el("div", { class: "sides" }, side(pair, "chosen", words), side(pair, "rejected", words)));
}

function side(pair, name, words) {
  const reply = pair[name];
  const marks = ["E", "I", "H", "S"].map((letter, place) => [letter, reply.rating ? reply.rating[place] : "–"]);
  const facts = [...marks, ["reward", number(reply.reward)], ["Q", number(reply.q)], ["N", count(reply.n)], ["P", number(reply.prior)]];
  const grown = index.trees.find((tree) => tree.id === pair.tree);
  return el("section", { class: `side ${name}`, "aria-label": name },
    el("h3", {}, name === "chosen" ? "✓ Chosen" : "✗ Rejected", reply.gold ? " (said in the seed dialogue)" : ""),
    el("p", {}, strategy(reply.strategy)),
    el("p", { class: "words", dir: "auto" }, marked(held.texts[reply.text], words)),
    el("dl", {}, facts.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, String(value))))),
    grown ? el("p", {}, el("a", { href: address({ tree: grown.name, node: reply.node }) }, "In its tree")) : null);
}

// A text with the words that were searched for in <mark>.
function marked(text, words) {
  if (!words.length) return [text];
  const pattern = new RegExp(`(${words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`, "gi");
  return text.split(pattern).map((part, place) => (place % 2 ? el("mark", {}, part) : part));
}
