"use strict";

// The list of trees.

const TREES_AT_ONCE = 200;
let treesWanted = "";
let treesShown = TREES_AT_ONCE;

function showTrees() {
  const view = document.getElementById("view-trees");
  if (!index.trees.length) {
    view.replaceChildren(el("h1", {}, "Trees"), el("p", {}, "No trees yet: `cso search` grows them."));
    return;
  }
  const filter = el("input", { type: "search", id: "trees-filter", value: treesWanted, input: () => listTrees(filter.value) });
  view.replaceChildren(
    el("h1", {}, "Trees"),
    el("p", {}, el("label", { for: "trees-filter" }, "Only with "), filter, " in id or scene"),
    el("p", { class: "note", id: "trees-count", role: "status" }),
    el("div", { class: "scroll", id: "trees-table" }),
  );
  listTrees(treesWanted);
}

function listTrees(wanted) {
  if (wanted !== treesWanted) treesShown = TREES_AT_ONCE;
  treesWanted = wanted;
  const found = index.trees.filter((tree) => `${tree.id} ${tree.scene}`.toLowerCase().includes(wanted.toLowerCase()));
  const state = (tree) => (tree.growing ? "growing" : tree.failed ? "failed" : "done");
  const rows = found.slice(0, treesShown).map((tree) =>
    el(
      "tr",
      {},
      el("td", {}, el("a", { href: `#tree=${encodeURIComponent(tree.id)}`, dir: "auto" }, tree.id)),
      el("td", { class: "words", dir: "auto" }, tree.scene),
      [tree.nodes, tree.iterations, tree.ends].map((value) => el("td", {}, count(value))),
      el("td", {}, state(tree)),
    ),
  );
  const heads = ["tree", "scene", "nodes", "iterations", "ends found", "state"];
  document.getElementById("trees-count").textContent = `${count(found.length)} of ${plural(index.trees.length, "tree")}`;
  document.getElementById("trees-table").replaceChildren(
    el("table", {}, el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))), el("tbody", {}, rows)),
    found.length > treesShown
      ? el("button", { click: () => ((treesShown += TREES_AT_ONCE), listTrees(wanted)) }, `Show more of ${count(found.length)}`)
      : "",
  );
}
