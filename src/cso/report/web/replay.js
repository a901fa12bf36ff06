"use strict";

// A search step by step, from what each of its iterations backed up. Node 0 is the root; iteration 0 is the planting.

// Adds what follows from the columns: children, depth, and the iteration in which each node was born and first said.
function prepared(tree) {
  const size = tree.parent.length;
  tree.children = Array.from({ length: size }, () => []);
  tree.depth = new Array(size).fill(0);
  for (let node = 1; node < size; node++) {
    tree.children[tree.parent[node]].push(node);
    tree.depth[node] = tree.depth[tree.parent[node]] + 1;
  }
  const gold = new Set(tree.gold);
  tree.isGold = (node) => gold.has(node);
  tree.isClosed = new Set(tree.closed);
  tree.last = tree.backups.length;
  const planted = (node) => node === 0 || tree.last === 0 || tree.children[tree.parent[node]].some(tree.isGold);
  tree.born = tree.parent.map((_, node) => (planted(node) ? 0 : Infinity));
  tree.said = tree.kind.map((kind, node) => (gold.has(node) || (tree.last === 0 && kind !== "unexpanded") ? 0 : Infinity));
  tree.backups.forEach(([bottom], place) => {
    for (let node = bottom; node !== null; node = tree.parent[node]) {
      tree.said[node] = Math.min(tree.said[node], place + 1);
      for (const sibling of node === 0 ? [] : tree.children[tree.parent[node]]) {
        tree.born[sibling] = Math.min(tree.born[sibling], place + 1);
      }
    }
  });
  return tree;
}

// N and Q of each node after iteration `at`, in the very arithmetic of the search (Eq. 4).
function stateAt(tree, at) {
  if (at >= tree.last) return { at, n: tree.n, q: tree.q };
  const n = tree.n.map((_, node) => (tree.isGold(node) ? index.gold_visits : 0));
  const q = tree.q.map((_, node) => (tree.isGold(node) ? index.gold_value : 0));
  for (const [bottom, reward] of tree.backups.slice(0, at)) {
    for (let node = bottom; node !== null; node = tree.parent[node]) {
      q[node] = (n[node] * q[node] + reward) / (n[node] + 1);
      n[node] += 1;
    }
  }
  return { at, n, q };
}

const isBorn = (tree, state, node) => tree.born[node] <= state.at;
const isSaid = (tree, state, node) => tree.said[node] <= state.at;

// Which nodes are closed after `at`: an End once it was judged, a node once all its children are.
function closedAt(tree, state) {
  const closed = new Set();
  for (let node = tree.parent.length - 1; node >= 0; node--) {
    if (!tree.isClosed.has(node) || !isBorn(tree, state, node)) continue;
    const children = tree.children[node].filter((child) => isBorn(tree, state, child));
    const done = tree.kind[node] === "end" ? isSaid(tree, state, node) : children.length > 0 && children.every((child) => closed.has(child));
    if (done) closed.add(node);
  }
  return closed;
}

// Eq. 1, in its two parts.
function exploration(tree, state, node) {
  return (index.exploration * tree.prior[node] * Math.sqrt(state.n[tree.parent[node]])) / (state.n[node] + 1);
}

// Section 3.2: the nodes on valid paths, how many paths there are, and who is chosen and rejected beside them.
function preferences(tree, state) {
  const good = new Array(tree.parent.length).fill(false);
  good[0] = true;
  for (let node = 1; node < good.length; node++) {
    good[node] = good[tree.parent[node]] && isSaid(tree, state, node) && state.q[node] > index.threshold;
  }
  const valid = new Set();
  let paths = 0;
  for (let node = good.length - 1; node > 0; node--) {
    const whole = tree.kind[node] === "end" && state.n[node] >= index.min_visits;
    if (!good[node] || !(whole || tree.children[node].some((child) => valid.has(child)))) continue;
    valid.add(node);
    paths += whole ? 1 : 0;
  }
  const chosen = new Set();
  const rejected = new Set();
  let pairs = 0;
  for (const node of valid) {
    for (const sibling of tree.children[tree.parent[node]]) {
      if (sibling === node || !isSaid(tree, state, sibling) || state.n[sibling] < 1 || state.q[sibling] >= index.threshold) continue;
      chosen.add(node);
      rejected.add(sibling);
      pairs += 1;
    }
  }
  return { valid, paths, chosen, rejected, pairs };
}

const pathTo = (tree, node) => (node === null ? [] : [...pathTo(tree, tree.parent[node]), node]);
