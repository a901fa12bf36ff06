"use strict";

// One tree: its search step by step, its outline and picture, what was said up to a node, and the choices there.

let explorer = null;

async function showTree(parameters) {
  const id = parameters.get("tree");
  const line = index.trees.find((tree) => tree.id === id);
  const view = document.getElementById("view-tree");
  if (!line) {
    explorer = null;
    view.replaceChildren(el("h1", {}, "No such tree"), el("p", {}, `This run has no tree of ${JSON.stringify(id)}. `, el("a", { href: "#trees" }, "All trees")));
    return;
  }
  if (explorer?.tree.id !== id || explorer.stamp !== line.stamp) {
    const known = explorer?.tree.id === id ? explorer : null;
    const tree = prepared(await content(line.data));
    if (asked().get("tree") !== id) return; // somebody has gone on meanwhile
    explorer = makeExplorer(view, tree, line, known);
  }
  const at = parameters.has("at") ? Number(parameters.get("at")) : explorer.tree.last;
  const node = Number(parameters.get("node") ?? explorer.node);
  explorer.go(Number.isInteger(node) && node >= 0 && node < explorer.tree.parent.length ? node : 0, Number.isInteger(at) ? at : explorer.tree.last);
}

function makeExplorer(view, tree, line, known) {
  const made = {
    tree,
    stamp: line.stamp,
    node: 0,
    state: null,
    marks: null,
    open: known?.open ?? new Set([0, ...tree.gold]),
    unsaid: known?.unsaid ?? false,
    hidden: (node) => (made.unsaid ? !isBorn(tree, made.state, node) : !isSaid(tree, made.state, node) && node !== made.node),
    select: (node) => made.go(node, made.state.at),
    go,
  };
  const outline = makeOutline(made);
  const slider = el("input", { type: "range", min: 0, max: tree.last, id: "at", input: () => step(Number(slider.value)) });
  const told = el("output", { class: "note", for: "at", id: "told" });
  const picture = el("div", { class: "picture scroll", tabindex: "0", role: "region", "aria-label": "Picture of the tree" });
  const conversation = el("section", { class: "conversation", "aria-label": "What was said up to the selected node" });
  const choices = el("section", { class: "choices", "aria-label": "Choices" });
  const unsaid = el("input", { type: "checkbox", id: "unsaid", change: () => ((made.unsaid = unsaid.checked), outline.update()) });
  unsaid.checked = made.unsaid;

  view.replaceChildren(...[
    el("p", { class: "note" }, el("a", { href: "#trees" }, "Trees"), " / ", el("bdi", {}, tree.id)),
    el("h1", { dir: "auto" }, tree.scene || tree.id),
    el("p", { dir: "auto", class: "situation" }, tree.situation),
    tree.failure ? el("p", { role: "status", class: "failure" }, `This search failed: ${tree.failure}`) : null,
    tree.last
      ? el("div", { class: "steps" }, el("button", { click: () => step(made.state.at - 1), "aria-label": "Step back" }, "‹"), el("label", { for: "at" }, "Iteration"), slider, el("button", { click: () => step(made.state.at + 1), "aria-label": "Step on" }, "›"), told)
      : el("p", { class: "note" }, "How this search went was not kept: it is shown as it ended."),
    el("details", { open: true, class: "pictured" }, el("summary", {}, "Picture"), picture),
    el("div", { class: "panes" },
      el("div", { class: "pane" },
        el("p", { class: "tools" },
          el("label", { class: "check" }, unsaid, " strategies not followed"),
          el("button", { click: openAll }, "Open all"), el("button", { click: closeAll }, "Close all")),
        outline.box),
      el("div", { class: "pane" }, conversation, choices)),
  ].filter(Boolean));

  function openAll() {
    made.open = new Set(tree.parent.keys());
    outline.update();
  }

  function closeAll() {
    made.open = new Set(pathTo(tree, tree.parent[made.node]));
    outline.update();
  }

  // Another iteration: look at what it backed up from, or stay where that says nothing.
  function step(to) {
    const at = Math.min(Math.max(to, 0), tree.last);
    go(at === 0 ? 0 : tree.backups[at - 1][0], at);
  }

  function go(node, to) {
    const at = Math.min(Math.max(to, 0), tree.last);
    const same = made.state?.at === at;
    if (!same) {
      made.state = stateAt(tree, at);
      const path = at > 0 && at < tree.last ? pathTo(tree, tree.backups[at - 1][0]) : [];
      made.marks = { ...preferences(tree, made.state), closed: closedAt(tree, made.state), path: new Set(path) };
    }
    made.node = isBorn(tree, made.state, node) ? node : 0;
    for (const above of pathTo(tree, tree.parent[made.node])) made.open.add(above);
    goTo({ tree: tree.id, node: made.node, ...(at < tree.last ? { at } : {}) });
    slider.value = at;
    told.textContent = toldOf(made);
    outline.update();
    drawPicture(made, picture);
    conversation.replaceChildren(...conversationOf(made));
    choices.replaceChildren(...choicesOf(made));
  }
  return made;
}

// What happened in the iteration that is shown.
function toldOf({ tree, state, marks }) {
  const sums = `${plural(marks.paths, "valid path")}, ${plural(marks.pairs, "pair")}`;
  if (state.at === 0) return `0 of ${tree.last}: the seed dialogue is planted; ${sums}`;
  const [bottom, reward] = tree.backups[state.at - 1];
  const grown = tree.born[bottom] === state.at;
  const leaf = grown ? tree.parent[bottom] : bottom;
  const turnOf = (node) => (node === 0 ? "the opening" : `${strategyName(tree.strategy[node])} at turn ${tree.depth[node]}`);
  const what = grown ? `selected ${turnOf(leaf)}, simulated ${strategyName(tree.strategy[bottom])} below it` : `selected the end ${turnOf(leaf)}`;
  return `${state.at} of ${tree.last}: ${what}, backed up ${number(reward, 3)}; ${sums}`;
}

function conversationOf(explorer) {
  const { tree } = explorer;
  const said = [];
  for (const node of pathTo(tree, explorer.node)) {
    const selected = node === explorer.node ? { "aria-current": "true" } : {};
    if (tree.supporter[node] !== null && isSaid(tree, explorer.state, node)) {
      said.push(turn(true, tree.strategy[node], tree.supporter[node], { ...selected, click: () => explorer.select(node) }));
    } else if (node !== 0 && !isSaid(tree, explorer.state, node)) {
      said.push(el("li", { class: "note", ...selected }, strategy(tree.strategy[node]), " has not been followed"));
    }
    if (tree.seeker[node] !== null && isSaid(tree, explorer.state, node)) said.push(turn(false, -1, tree.seeker[node]));
  }
  return [el("h2", {}, "Conversation"), el("ol", { class: "said" }, said)];
}

const HEADS = [
  ["P", "prior: the strategist's share for this strategy"],
  ["Q", "mean reward backed up through here"],
  ["U", "what PUCB adds for what is little explored: c P sqrt(N of the parent) / (N + 1)"],
  ["Q+U", "PUCB: the highest is selected next"],
  ["N", "visits"],
  ["E", "empathy, 0 to 4"],
  ["I", "information, 0 to 4"],
  ["H", "humanoid, 0 to 4"],
  ["S", "strategy, 0 to 4"],
];

function choicesOf(explorer) {
  const { tree, node } = explorer;
  const tables = [];
  const below = tree.children[node].filter((child) => isBorn(tree, explorer.state, child));
  if (node !== 0) tables.push(el("h2", {}, `Choices at turn ${tree.depth[node]}`), choiceTable(explorer, tree.children[tree.parent[node]]));
  if (below.length) tables.push(el("h2", {}, `Choices next, at turn ${tree.depth[node] + 1}`), choiceTable(explorer, below));
  return tables;
}

function choiceTable(explorer, nodes) {
  const { tree, state, marks } = explorer;
  const row = (node) => {
    const bonus = exploration(tree, state, node);
    const said = isSaid(tree, state, node);
    const rating = said && tree.rating[node] !== null ? [...tree.rating[node]] : ["–", "–", "–", "–"];
    const name = el("button", { class: "link", click: () => explorer.select(node), "aria-pressed": null }, strategy(tree.strategy[node]));
    return el(
      "tr",
      { class: node === explorer.node ? "selected" : null, "aria-current": node === explorer.node ? "true" : null },
      el("th", { scope: "row" }, name),
      [number(tree.prior[node], 3), number(state.q[node], 3), number(bonus, 3), number(state.q[node] + bonus, 3), count(state.n[node]), ...rating].map((value) => el("td", {}, value)),
      el("td", { class: "marks" }, said ? marksOf(explorer, node) : el("span", { class: "note" }, "not followed")),
    );
  };
  const heads = HEADS.map(([head, title]) => el("th", { scope: "col" }, el("abbr", { title }, head)));
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Choices, as a table" },
    el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "strategy"), heads, el("th", { scope: "col" }, "marks"))), el("tbody", {}, nodes.map(row))),
  );
}
