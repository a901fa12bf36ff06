"use strict";

// A tree as a picture: what was said, from left to right; a circle's area goes with the logarithm of N.

const DOWN = 15; // pixels between leaves

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawPicture(explorer, box) {
  const deepest = Math.max(1, ...explorer.tree.depth.filter((_, node) => isSaid(explorer.tree, explorer.state, node)));
  const across = Math.min(84, Math.max(34, (box.clientWidth - 32) / deepest));
  const { tree, state, marks } = explorer;
  const shown = (node) => isSaid(tree, state, node) || node === 0;
  const x = (node) => 14 + tree.depth[node] * across;
  const y = [];
  let leaves = 0;
  const order = [];
  const waiting = [0];
  while (waiting.length) {
    const node = waiting.pop();
    order.push(node);
    waiting.push(...tree.children[node].filter(shown).reverse());
  }
  for (const node of order) {
    if (!tree.children[node].some(shown)) y[node] = 12 + leaves++ * DOWN;
  }
  for (const node of [...order].reverse()) {
    const children = tree.children[node].filter(shown);
    if (children.length) y[node] = (y[children[0]] + y[children.at(-1)]) / 2;
  }
  const width = 28 + deepest * across;
  const height = 24 + Math.max(0, leaves - 1) * DOWN;
  const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `The tree as a picture: ${plural(order.length, "node")} that were said. The outline has the same nodes.` });
  for (const node of order) {
    if (node === 0) continue;
    const parent = tree.parent[node];
    const kind = marks.path.has(node) ? "now" : marks.valid.has(node) ? "good" : "way";
    const middle = x(parent) + across / 2;
    picture.append(svg("path", { class: kind, d: `M${x(parent)} ${y[parent]}C${middle} ${y[parent]} ${middle} ${y[node]} ${x(node)} ${y[node]}` }));
  }
  for (const node of order) {
    const place = tree.strategy[node];
    const dot = svg("circle", {
      cx: x(node),
      cy: y[node],
      r: Math.min(7, 2.5 + Math.sqrt(Math.log2(1 + state.n[node]))),
      class: [node === explorer.node && "selected", tree.isGold(node) && "gold", marks.closed.has(node) && "closed"].filter(Boolean).join(" "),
      style: `--colour: ${node === 0 || place < 0 ? "var(--quiet)" : index.strategies[place].colour}`,
    });
    dot.append(svg("title", {}, `${node === 0 ? "opening" : strategyName(place)}: Q ${number(state.q[node])}, N ${count(state.n[node])}`));
    dot.addEventListener("click", () => explorer.select(node));
    picture.append(dot);
  }
  box.replaceChildren(picture);
  if (y[explorer.node] < box.scrollTop + 10 || y[explorer.node] > box.scrollTop + box.clientHeight - 10) {
    box.scrollTop = y[explorer.node] - box.clientHeight / 2;
  }
}
