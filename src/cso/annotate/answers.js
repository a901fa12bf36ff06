"use strict";
/* What the rater has answered, by item: {marks: {criterion: value}, comment, at, seconds}; `at` is the ISO time of the
   last change, `seconds` how long the item was looked at. Nothing here touches the page. */
const told = JSON.parse(document.getElementById("data").textContent);
const VALUES = told.kind === "pair" ? ["A", "tie", "B"] : Array.from({ length: told.highest }, (_, place) => place + 1);
const LATEST = Date.UTC(9000, 0); // later ones could not be counted on, nor read by others
const KEPT = `cso-annotation/${told.annotation}/${told.rater}`;

/** Of anything that was read, what this page could have written; of a time that no clock shows, the earliest. */
function cleaned(found) {
  const answers = {};
  for (const { id } of told.items) {
    const answer = found?.[id];
    const time = Date.parse(answer?.at);
    if (Number.isNaN(time)) continue;
    const marks = {};
    for (const { name } of told.criteria) {
      if (VALUES.includes(answer.marks?.[name])) marks[name] = answer.marks[name];
    }
    const comment = typeof answer.comment === "string" ? answer.comment : "";
    const seconds = answer.seconds > 0 && Number.isFinite(answer.seconds) ? answer.seconds : 0;
    answers[id] = { marks, comment, at: new Date(time > 0 && time < LATEST ? time : 0).toISOString(), seconds };
  }
  return answers;
}

/** Of each item the answer changed last; of equal ones that with the longer time. Where it lacks a mark, which nobody
    can take back, that of the other stands. */
function merged(one, other) {
  const both = { ...one };
  for (const [id, answer] of Object.entries(other)) {
    const mine = both[id] ?? answer;
    const later = answer.at > mine.at || (answer.at === mine.at && answer.seconds > mine.seconds);
    const [first, last] = later ? [mine, answer] : [answer, mine];
    both[id] = { ...last, marks: { ...first.marks, ...last.marks } };
  }
  return both;
}

/** The answer with other contents, later than it was before, whatever the clock says. */
function changed(answer, contents) {
  const time = Math.max(Date.now(), answer ? Date.parse(answer.at) + 1 : 0);
  return { marks: {}, comment: "", seconds: 0, ...answer, ...contents, at: new Date(time).toISOString() };
}

/** What is kept in this browser; null if nothing can be. What cannot be read is put aside, not lost. */
function recalled() {
  try {
    const text = localStorage.getItem(KEPT);
    try {
      return cleaned(JSON.parse(text));
    } catch {
      localStorage.setItem(`${KEPT}/unreadable`, text);
      return {};
    }
  } catch {
    return null;
  }
}

/** Whether it is kept now. */
function keep(answers) {
  try {
    localStorage.setItem(KEPT, JSON.stringify(answers));
    return true;
  } catch {
    return false;
  }
}

const isWhole = (answer) => told.criteria.every(({ name }) => answer?.marks[name] !== undefined);

/** The result file's content. */
function result(answers) {
  const found = told.items.filter(({ id }) => answers[id]).map(({ id }) => ({ item: id, ...answers[id] }));
  return {
    format: 1,
    annotation: told.annotation,
    rater: told.rater,
    items: told.items.length,
    complete: told.items.every(({ id }) => isWhole(answers[id])),
    saved: new Date().toISOString(),
    answers: found,
  };
}

/** The answers of a result file. Throws an Error that says in words what is wrong with it. */
function opened(text) {
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Error("This file is no result: it is not JSON.");
  }
  const named = typeof content?.annotation === "string" && typeof content.rater === "string";
  if (!named || !Array.isArray(content.answers)) throw new Error("This file is no result saved from such a page.");
  if (content.annotation !== told.annotation) {
    throw new Error(`This file belongs to another annotation: ${content.annotation}, and this page to ${told.annotation}.`);
  }
  if (content.rater !== told.rater) {
    throw new Error(`This file is ${content.rater}'s, and this page is ${told.rater}'s.`);
  }
  return cleaned(Object.fromEntries(content.answers.map((answer) => [answer?.item, answer])));
}
