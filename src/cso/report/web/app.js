"use strict";

// The frame of the page: what it is made of, where its data comes from, and which view an address shows.

function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

const number = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const count = (value) => value.toLocaleString("en");
const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

// Data lies in the page, packed, or with the server that `cso view` runs.
async function content(name) {
  const here = document.getElementById(`data-${name}`);
  return here ? unpacked(here.textContent) : (await got(`data/${encodeURIComponent(name)}`)).json();
}

async function got(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

let index = null; // strategies, speakers, the rules of section 3, and the list of trees: see index.py

function strategyName(place) {
  return place < 0 ? "no strategy" : index.strategies[place].name;
}

function strategy(place, tag = "span") {
  if (place < 0) return el(tag, {}, "no strategy");
  const { colour, definition } = index.strategies[place];
  return el(tag, { class: "strategy", style: `--colour: ${colour}`, title: definition }, strategyName(place));
}

function turn(supporter, place, words, extra = {}) {
  const colour = supporter && place >= 0 ? `--colour: ${index.strategies[place].colour}` : null;
  const who = supporter ? el("b", {}, `${index.speakers.supporter}, `, strategy(place)) : el("b", {}, index.speakers.seeker);
  const { tag = "li", ...attributes } = extra;
  return el(tag, { class: `turn ${supporter ? "supporter" : "seeker"}`, style: colour, dir: "auto", ...attributes }, who, words);
}

// An address within the page: a section of the overview, or trees, tree=NAME&node=N&at=I, pairs&text=...
const asked = () => new URLSearchParams(location.hash.slice(1));
const address = (parameters) => `#${new URLSearchParams(parameters).toString().replaceAll("=&", "&").replace(/=$/, "")}`;

function remember(parameters) {
  if (address(parameters) !== location.hash) history.replaceState(null, "", address(parameters));
}

const VIEWS = { overview: showSection, trees: showTrees, tree: showTree, pairs: showPairs };
const viewOf = (parameters) => ["trees", "tree", "pairs"].find((name) => parameters.has(name)) ?? "overview";

function showSection(refreshed) {
  if (!refreshed && location.hash.length > 1) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

// What the address asks for; `refreshed` where only the run has changed, not the address.
async function show(refreshed = false) {
  const view = viewOf(asked());
  for (const name of Object.keys(VIEWS)) document.getElementById(`view-${name}`).hidden = name !== view;
  for (const link of document.querySelectorAll("nav.views a")) {
    if (link.dataset.view === (view === "tree" ? "trees" : view)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  try {
    await VIEWS[view](refreshed);
  } catch (error) {
    if (view === "overview") throw error;
    forget();
    document.getElementById(`view-${view}`).replaceChildren(el("p", { role: "alert" }, `This cannot be shown: ${error.message}`));
  }
}

// After an error nothing that was made before can be gone on with.
function forget() {
  explorer = null;
  held = null;
}

// A page served by `cso view` asks every other second whether the run has grown.
async function refresh() {
  const told = document.getElementById("gone");
  try {
    const latest = await content("index");
    if (latest.stamp !== index.stamp) {
      const overview = await (await got("overview")).text();
      index = latest;
      showOverview(overview);
      await show(true);
    }
    told.hidden = true;
  } catch (error) {
    told.textContent = `What is shown may be old: ${error instanceof TypeError ? "cso view does not answer" : error.message}`;
    told.hidden = false;
  }
  setTimeout(refresh, 2000);
}

// The overview anew, with the same details open.
function showOverview(html) {
  const place = document.getElementById("view-overview");
  const latest = new DOMParser().parseFromString(html, "text/html").body;
  const details = [...place.querySelectorAll("details")];
  [...latest.querySelectorAll("details")].forEach((each, at) => (each.open = details[at]?.open ?? each.open));
  if (latest.innerHTML !== place.innerHTML) place.replaceChildren(...latest.childNodes);
}

async function start() {
  index = await content("index");
  addEventListener("hashchange", () => show());
  await show();
  if (document.querySelector("main").dataset.live !== undefined) setTimeout(refresh, 2000);
}
