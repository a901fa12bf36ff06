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
  if (here) return unpacked(here.textContent);
  const answer = await fetch(`data/${encodeURIComponent(name)}`);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

let index = null; // strategies, settings and the list of trees: see site.py

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
  const who = supporter ? el("b", {}, "Supporter, ", strategy(place)) : el("b", {}, "Seeker");
  const { tag = "li", ...attributes } = extra;
  return el(tag, { class: `turn ${supporter ? "supporter" : "seeker"}`, style: colour, dir: "auto", ...attributes }, who, words);
}

const VIEWS = { overview: () => {}, trees: showTrees, tree: showTree, pairs: showPairs };

// The address after #: a section of the overview, or trees, tree=ID&node=N&at=I, pairs&text=...
const asked = () => new URLSearchParams(location.hash.slice(1));

function viewOf(parameters) {
  return ["trees", "tree", "pairs"].find((name) => parameters.has(name)) ?? "overview";
}

function goTo(parameters, { replace = true } = {}) {
  const hash = `#${new URLSearchParams(parameters).toString().replaceAll("=&", "&").replace(/=$/, "")}`;
  if (hash !== location.hash) history[replace ? "replaceState" : "pushState"](null, "", hash);
}

async function route() {
  const parameters = asked();
  const view = viewOf(parameters);
  for (const name of Object.keys(VIEWS)) document.getElementById(`view-${name}`).hidden = name !== view;
  for (const link of document.querySelectorAll("nav.views a")) {
    if (link.dataset.view === (view === "tree" ? "trees" : view)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view === "overview" && location.hash.length > 1) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  try {
    await VIEWS[view](parameters);
  } catch (error) {
    document.getElementById(`view-${view}`).replaceChildren(el("p", { role: "alert" }, `This cannot be shown: ${error.message}`));
  }
}

// A page served by `cso view` asks every other second whether the run has grown.
async function refresh() {
  try {
    const latest = await content("index");
    document.getElementById("gone").hidden = true;
    if (latest.stamp === index.stamp) return;
    index = latest;
    const overview = await (await fetch("overview")).text();
    const place = document.getElementById("view-overview");
    const opened = new Set([...place.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent));
    place.replaceChildren(...new DOMParser().parseFromString(overview, "text/html").body.childNodes);
    for (const summary of place.querySelectorAll("details > summary")) summary.parentElement.open = opened.has(summary.textContent);
    const view = viewOf(asked());
    if (view !== "overview") await VIEWS[view](asked());
  } catch {
    document.getElementById("gone").hidden = false;
  }
}

async function start() {
  index = await content("index");
  addEventListener("hashchange", route);
  await route();
  if (document.querySelector("main").dataset.live !== undefined) setInterval(refresh, 2000);
}
