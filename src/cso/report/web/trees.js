"use strict";

// The list of trees.

const TREES_AT_ONCE = 200;
let treesWanted = "";
let treesShown = TREES_AT_ONCE;

function showTrees(refreshed) {
  const view = document.getElementById("view-trees");
  if (!refreshed || !document.getElementById("trees-filter")) {
    const filter = el("input", { type: "search", id: "trees-filter", value: treesWanted, input: () => ((treesShown = TREES_AT_ONCE), listTrees()) });
    view.replaceChildren(
      el("h1", {}, "Trees"),
      el("p", { id: "trees-none" }),
      el("p", { id: "trees-tools" }, el("label", { for: "trees-filter" }, "Only with "), filter, " in id or scene"),
      el("p", { class: "note", id: "trees-count", role: "status" }),
      el("div", { class: "scroll", id: "trees-table" }),
    );
  }
  listTrees();
}

function listTrees() {
  treesWanted = document.getElementById("trees-filter").value;
  const found = index.trees.filter((tree) => `${tree.id} ${tree.scene}`.toLowerCase().includes(treesWanted.toLowerCase()));
  const none = [index.trees.length ? "" : "No trees yet: `cso search` grows them.", index.unreadable.length ? `Could not be read: ${index.unreadable.join(", ")}.` : ""];
  document.getElementById("trees-none").textContent = none.join(" ");
  document.getElementById("trees-tools").hidden = !index.trees.length;
  document.getElementById("trees-count").textContent = index.trees.length ? `${count(found.length)} of ${plural(index.trees.length, "tree")}` : "";
  const focused = document.activeElement?.dataset.tree;
  const table = document.getElementById("trees-table");
  table.replaceChildren(...(found.length ? treeTable(found) : []));
  if (focused !== undefined) table.querySelector(`[data-tree="${CSS.escape(focused)}"]`)?.focus();
}

function treeTable(found) {
  const state = (tree) => (tree.unfinished ? "not finished" : tree.failed ? "failed" : "done");
  const rows = found.slice(0, treesShown).map((tree) =>
    el(
      "tr",
      {},
      el("td", {}, el("a", { href: address({ tree: tree.name }), "data-tree": tree.name, dir: "auto" }, tree.id)),
      el("td", { class: "words", dir: "auto" }, tree.scene),
      [tree.nodes, tree.iterations, tree.ends].map((value) => el("td", {}, count(value))),
      el("td", {}, state(tree)),
    ),
  );
  const heads = ["tree", "scene", "nodes", "iterations", "ends found", "state"];
  const more = () => {
    const first = found[treesShown].name;
    treesShown += TREES_AT_ONCE;
    listTrees();
    document.querySelector(`[data-tree="${CSS.escape(first)}"]`)?.focus();
  };
  return [
    el("table", {}, el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col", class: head === "scene" ? "words" : null }, head)))), el("tbody", {}, rows)),
    found.length > treesShown ? el("button", { click: more }, `Show more of ${count(found.length)}`) : "",
  ];
}
