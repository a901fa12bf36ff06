"use strict";

// One tree: its search step by step, its outline and picture, what was said up to a node, and the choices there.

let explorer = null;

async function showTree(refreshed) {
  const name = asked().get("tree");
  const line = index.trees.find((tree) => tree.name === name);
  const view = document.getElementById("view-tree");
  if (!line) {
    explorer = null;
    view.replaceChildren(el("h1", {}, "No such tree"), el("p", {}, `This run has no tree of ${JSON.stringify(name)}. `, el("a", { href: "#trees" }, "All trees")));
    return;
  }
  if (explorer?.line.name !== name || explorer.line.stamp !== line.stamp) {
    const tree = prepared(await content(line.data));
    if (asked().get("tree") !== name) return; // somebody has gone on meanwhile
    if (explorer?.line.name !== name) explorer = makeExplorer(view);
    explorer.take(tree, line);
  } else if (refreshed) {
    return;
  }
  const { tree } = explorer;
  const whole = (key, otherwise) => (/^\d+$/.test(asked().get(key) ?? "") ? Number(asked().get(key)) : otherwise);
  const node = whole("node", explorer.node);
  explorer.go(node < tree.parent.length ? node : 0, whole("at", tree.last));
}

// What is shown of one tree. `take` gives it the tree, and later the same tree when that has grown.
function makeExplorer(view) {
  const made = { tree: null, line: null, node: 0, state: null, marks: null, open: new Set([0]), unsaid: false };
  Object.assign(made, { take, go, hidden, select: (node) => go(node, made.state.at) });
  const parts = partsOf(made, step);
  view.replaceChildren(...parts.all);

  function take(tree, line) {
    if (!made.tree) made.open = new Set([0, ...tree.gold]);
    Object.assign(made, { tree, line, state: null });
    parts.head.replaceChildren(...headOf(made));
    parts.steps.hidden = tree.last === 0;
    parts.slider.max = tree.last;
  }

  function hidden(node) {
    return made.unsaid ? !isBorn(made.tree, made.state, node) : !isSaid(made.tree, made.state, node) && node !== made.node;
  }

  // Another iteration: look at what it backed up from.
  function step(to) {
    const at = Math.min(Math.max(to, 0), made.tree.last);
    go(at === 0 ? 0 : made.tree.backups[at - 1][0], at);
  }

  function go(node, to) {
    const { tree } = made;
    const at = Math.min(Math.max(to, 0), tree.last);
    const moved = made.node !== node || made.state?.at !== at;
    if (made.state?.at !== at) {
      made.state = stateAt(tree, at);
      const path = at > 0 && at < tree.last ? pathTo(tree, tree.backups[at - 1][0]) : [];
      made.marks = { ...preferences(tree, made.state), closed: closedAt(tree, made.state), path: new Set(path) };
    }
    made.node = isBorn(tree, made.state, node) ? node : 0;
    if (moved) for (const above of pathTo(tree, tree.parent[made.node])) made.open.add(above);
    remember({ tree: made.line.name, node: made.node, ...(at < tree.last ? { at } : {}) });
    parts.slider.value = at;
    parts.told.textContent = toldOf(made);
    parts.outline.update(moved);
    parts.picture.update();
    parts.conversation.replaceChildren(...conversationOf(made));
    const focused = parts.choices.contains(document.activeElement) ? document.activeElement.dataset.node : undefined;
    parts.choices.replaceChildren(...choicesOf(made));
    if (focused !== undefined) parts.choices.querySelector(`button[data-node="${focused}"]`)?.focus();
  }
  return made;
}

// The fixed parts of the view.
function partsOf(explorer, step) {
  const outline = makeOutline(explorer);
  const picture = makePicture(explorer);
  let wanted = null; // an iteration, of which only the last in a frame is shown
  const slide = () => {
    if (wanted === null) requestAnimationFrame(() => (step(wanted), (wanted = null)));
    wanted = Number(slider.value);
  };
  const slider = el("input", { type: "range", min: 0, id: "at", input: slide });
  const told = el("output", { class: "note", for: "at", id: "told" });
  const arrow = (words, by, sign) => el("button", { click: () => step(explorer.state.at + by), "aria-label": words }, sign);
  const steps = el("div", { class: "steps" }, arrow("Step back", -1, "‹"), el("label", { for: "at" }, "Iteration"), slider, arrow("Step on", 1, "›"), told);
  const unsaid = el("input", { type: "checkbox", id: "unsaid", change: () => ((explorer.unsaid = unsaid.checked), outline.update()) });
  const openOnly = (nodes) => ((explorer.open = new Set(nodes)), outline.update(true));
  const head = el("div", {});
  const conversation = el("section", { class: "conversation", "aria-label": "What was said up to the selected node" });
  const choices = el("section", { class: "choices", "aria-label": "Choices" });
  const tools = el("p", { class: "tools" },
    el("label", { class: "check" }, unsaid, " strategies not followed"),
    el("button", { click: () => openOnly(explorer.tree.parent.keys()) }, "Open all"),
    el("button", { click: () => openOnly(pathTo(explorer.tree, explorer.tree.parent[explorer.node])) }, "Close all"));
  const panes = el("div", { class: "panes" }, el("div", { class: "pane" }, tools, outline.box), el("div", { class: "pane" }, conversation, choices));
  return { outline, picture, slider, told, steps, head, conversation, choices, all: [head, steps, picture.details, panes] };
}

function headOf({ tree, line }) {
  return [
    el("p", { class: "note" }, el("a", { href: "#trees" }, "Trees"), " / ", el("bdi", {}, tree.id)),
    el("h1", { dir: "auto" }, tree.scene || tree.id),
    el("p", { dir: "auto", class: "situation" }, tree.situation),
    tree.failure ? el("p", { role: "status", class: "failure" }, `This search failed: ${tree.failure}`) : "",
    line.unfinished ? el("p", { class: "note", role: "status" }, "This search is not finished.") : "",
    line.iterations > tree.last ? el("p", { class: "note" }, "How this search went was not kept: it is shown as it ended.") : "",
  ];
}

// What happened in the iteration that is shown.
function toldOf({ tree, state, marks }) {
  const sums = `${plural(marks.paths, "valid path")}, ${plural(marks.pairs, "pair")}`;
  if (state.at === 0) return `0 of ${tree.last}: the seed dialogue is planted; ${sums}, by Q above ${index.threshold}`;
  const [bottom, reward] = tree.backups[state.at - 1];
  const grown = tree.born[bottom] === state.at;
  const leaf = grown ? tree.parent[bottom] : bottom;
  const turnOf = (node) => (node === 0 ? "the opening" : `${strategyName(tree.strategy[node])} at turn ${tree.depth[node]}`);
  const what = grown ? `selected ${turnOf(leaf)}, simulated ${strategyName(tree.strategy[bottom])} below it` : `selected the end ${turnOf(leaf)}`;
  return `${state.at} of ${tree.last}: ${what}, backed up ${number(reward, 3)}; ${sums}, by Q above ${index.threshold}`;
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
  ["Q+U", "PUCB: of those that are not closed, the highest is selected next"],
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
  if (tables.length) tables.push(el("p", { class: "note" }, "P: the strategist's prior. Q: mean reward. U: what PUCB adds for being little visited. N: visits. E, I, H, S: the judge's marks of this very turn, 0 to 4; – where it was not asked (cso extract --judge asks about the turns of pairs)."));
  return tables;
}

function choiceTable(explorer, nodes) {
  const { tree, state, marks } = explorer;
  const row = (node) => {
    const bonus = exploration(tree, state, node);
    const said = isSaid(tree, state, node);
    const rating = said && tree.rating[node] !== null ? [...tree.rating[node]] : ["–", "–", "–", "–"];
    const name = el("button", { class: "link", "data-node": node, click: () => explorer.select(node) }, strategy(tree.strategy[node]));
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
