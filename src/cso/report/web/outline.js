"use strict";

// A tree as an outline. Only the rows in sight are in the page, so thousands of nodes cost no more than fifty.

const ROW = 30; // pixels

// `explorer` has tree, state, marks, node (the selected one), open, hidden(node) and select(node).
function makeOutline(explorer) {
  const rows = el("div", { class: "rows" });
  const box = el(
    "div",
    { class: "outline", role: "tree", tabindex: "0", "aria-label": "Nodes of the tree", scroll: draw, keydown: press },
    rows,
  );
  let visible = [];
  let drawnRows = "";

  // `found`: the selected node is to be in sight.
  function update(found = false) {
    visible = [];
    const waiting = [0];
    while (waiting.length) {
      const node = waiting.pop();
      visible.push(node);
      if (explorer.open.has(node)) waiting.push(...shownChildren(node).reverse());
    }
    rows.style.height = `${visible.length * ROW}px`;
    const place = visible.indexOf(explorer.node);
    if (found && place * ROW < box.scrollTop) box.scrollTop = place * ROW;
    if (found && (place + 1) * ROW > box.scrollTop + box.clientHeight) box.scrollTop = (place + 1) * ROW - box.clientHeight;
    drawnRows = "";
    draw();
  }

  const shownChildren = (node) => explorer.tree.children[node].filter((child) => !explorer.hidden(child));

  function draw() {
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 5);
    const last = Math.min(visible.length, Math.ceil((box.scrollTop + box.clientHeight) / ROW) + 5);
    if (drawnRows === `${first} ${last}`) return;
    drawnRows = `${first} ${last}`;
    const selected = visible.indexOf(explorer.node);
    const places = [...Array(last - first).keys()].map((place) => first + place);
    if (selected >= 0 && (selected < first || selected >= last)) places.push(selected); // what a screen reader is at
    rows.replaceChildren(...places.map((place) => row(visible[place], place)));
    if (selected >= 0) box.setAttribute("aria-activedescendant", `row-${explorer.node}`);
    else box.removeAttribute("aria-activedescendant");
  }

  function row(node, place) {
    const { tree, state, marks } = explorer;
    const siblings = node === 0 ? [0] : shownChildren(tree.parent[node]);
    const children = shownChildren(node);
    const said = isSaid(tree, state, node);
    return el(
      "div",
      {
        id: `row-${node}`,
        role: "treeitem",
        class: `row${said ? "" : " unsaid"}${marks.path.has(node) ? " on-path" : ""}`,
        style: `top: ${place * ROW}px; padding-left: ${0.25 + tree.depth[node] * 0.9}rem`,
        "aria-level": tree.depth[node] + 1,
        "aria-setsize": siblings.length,
        "aria-posinset": siblings.indexOf(node) + 1,
        "aria-selected": String(node === explorer.node),
        "aria-expanded": children.length ? String(explorer.open.has(node)) : null,
        click: () => explorer.select(node),
      },
      el("span", { class: "twist", "aria-hidden": "true", click: (event) => (event.stopPropagation(), toggle(node)) },
        children.length ? (explorer.open.has(node) ? "▾" : "▸") : ""),
      node === 0 ? el("span", {}, "opening") : strategy(tree.strategy[node]),
      el("span", { class: "value" }, said || node === 0 ? `Q ${number(state.q[node], 3)} · N ${count(state.n[node])}` : `P ${number(tree.prior[node])}`),
      marksOf(explorer, node),
    );
  }

  function toggle(node, open = !explorer.open.has(node)) {
    explorer.open[open ? "add" : "delete"](node);
    update();
    if (!visible.includes(explorer.node)) explorer.select(node); // rather than one that nobody sees
  }

  function press(event) {
    const place = visible.indexOf(explorer.node);
    const node = explorer.node;
    const page = Math.max(1, Math.floor(box.clientHeight / ROW) - 1);
    const to = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: visible.length - 1, PageDown: place + page, PageUp: place - page }[event.key];
    if (to !== undefined) explorer.select(visible[Math.min(Math.max(to, 0), visible.length - 1)]);
    else if (event.key === "ArrowRight" && !explorer.open.has(node)) toggle(node, true);
    else if (event.key === "ArrowRight") explorer.select(shownChildren(node)[0] ?? node);
    else if (event.key === "ArrowLeft" && explorer.open.has(node) && shownChildren(node).length) toggle(node, false);
    else if (event.key === "ArrowLeft") explorer.select(explorer.tree.parent[node] ?? 0);
    else return;
    event.preventDefault();
  }

  return { box, update };
}

// What a node is marked with, as words.
function marksOf(explorer, node) {
  const { tree, marks } = explorer;
  const words = [
    tree.isGold(node) && node !== 0 && "gold",
    marks.valid.has(node) && !marks.chosen.has(node) && "valid",
    marks.chosen.has(node) && "chosen",
    marks.rejected.has(node) && "rejected",
    isSaid(tree, explorer.state, node) && tree.kind[node] === "end" && "end",
    marks.closed.has(node) && "closed",
  ].filter(Boolean);
  return words.map((word) => el("span", { class: `mark ${word}`, title: MARKS[word] }, word));
}

const MARKS = {
  gold: "said in the seed dialogue itself",
  valid: "on a valid path: Q above the threshold at every turn down to an end",
  chosen: "on a valid path, and the better reply of a pair",
  rejected: "the worse reply of a pair",
  end: "the dialogue ends here",
  closed: "nothing new can come from here, so it is not selected again",
};
