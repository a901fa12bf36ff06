"use strict";

// A tree as a picture: what was said, from left to right; the more visits, the larger a circle.

const DOWN = 15; // pixels between leaves

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const LEGEND = "A circle is a reply, in its strategy's colour; larger: more visits; ringed: the seed dialogue's; faint: closed. A green line is a valid path, a blue one the way of the iteration that is shown.";

// `update` draws anew only where the state has changed; else only the selection moves. While folded it does nothing.
function makePicture(explorer) {
  const box = el("div", { class: "picture", tabindex: "0", role: "region", "aria-label": "Picture of the tree" });
  const details = el("details", { open: true, class: "pictured", toggle: update }, el("summary", {}, "Picture"), box, el("p", { class: "note" }, LEGEND));
  let drawn = null; // the state that is drawn
  let circles = new Map();

  function update() {
    if (!details.open) return;
    if (drawn !== explorer.state) circles = drawPicture(explorer, box);
    drawn = explorer.state;
    box.querySelector(".selected")?.classList.remove("selected");
    const circle = circles.get(explorer.node);
    circle?.classList.add("selected");
    const y = Number(circle?.getAttribute("cy") ?? box.scrollTop + 10);
    if (y < box.scrollTop + 10 || y > box.scrollTop + box.clientHeight - 10) box.scrollTop = y - box.clientHeight / 2;
  }

  return { details, update };
}

function drawPicture(explorer, box) {
  const { tree, state, marks } = explorer;
  const { order, y, deepest, leaves } = layout(tree, state);
  const across = Math.min(84, Math.max(34, (box.clientWidth - 32) / Math.max(1, deepest)));
  const x = (node) => 14 + tree.depth[node] * across;
  const width = 28 + deepest * across;
  const height = 24 + Math.max(0, leaves - 1) * DOWN;
  const said = `The tree as a picture: ${plural(order.length, "node")} that were said. The outline has the same nodes.`;
  const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": said });
  for (const node of order.slice(1)) {
    const parent = tree.parent[node];
    const kind = marks.path.has(node) ? "now" : marks.valid.has(node) ? "good" : "way";
    const middle = x(parent) + across / 2;
    picture.append(svg("path", { class: kind, d: `M${x(parent)} ${y[parent]}C${middle} ${y[parent]} ${middle} ${y[node]} ${x(node)} ${y[node]}` }));
  }
  const circles = new Map(order.map((node) => [node, circleOf(explorer, node, x(node), y[node])]));
  picture.append(...circles.values());
  box.replaceChildren(picture);
  return circles;
}

// Nodes that were said, depth first; their heights: leaves one below the other, a parent between its children.
function layout(tree, state) {
  const shown = (node) => node === 0 || isSaid(tree, state, node);
  const order = [];
  const y = [];
  const waiting = [0];
  let leaves = 0;
  let deepest = 0;
  while (waiting.length) {
    const node = waiting.pop();
    const children = tree.children[node].filter(shown);
    order.push(node);
    deepest = Math.max(deepest, tree.depth[node]);
    if (!children.length) y[node] = 12 + leaves++ * DOWN;
    waiting.push(...children.reverse());
  }
  for (const node of [...order].reverse()) {
    const children = tree.children[node].filter(shown);
    if (children.length) y[node] = (y[children[0]] + y[children.at(-1)]) / 2;
  }
  return { order, y, deepest, leaves };
}

function circleOf(explorer, node, x, y) {
  const { tree, state, marks } = explorer;
  const place = tree.strategy[node];
  const circle = svg("circle", {
    cx: x,
    cy: y,
    r: Math.min(7, 2.5 + Math.sqrt(Math.log2(1 + state.n[node]))),
    class: [tree.isGold(node) && "gold", marks.closed.has(node) && "closed"].filter(Boolean).join(" "),
    style: `--colour: ${node === 0 || place < 0 ? "var(--quiet)" : index.strategies[place].colour}`,
  });
  circle.append(svg("title", {}, `${node === 0 ? "opening" : strategyName(place)}: Q ${number(state.q[node])}, N ${count(state.n[node])}`));
  circle.addEventListener("click", () => explorer.select(node));
  return circle;
}
