"use strict";
const read = id => JSON.parse(document.getElementById(id).textContent);
const at = id => document.getElementById(id);
const classes = read("classes"), rows = read("rows"), STEP = 60;
rows.forEach(row => { row.score = new Map(row.s); row.low = row.p.toLowerCase(); });

const counts = new Map();
rows.forEach(row => row.d.forEach(c => counts.set(c, (counts.get(c) || 0) + 1)));
const used = classes.length > 500 ? [...counts.keys()].sort((a, b) => a - b) : classes.keys();
for (const c of used)
  at("label").add(new Option(`${classes[c]} (${counts.get(c) || 0})`, c));

function make(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
}
function chip(row, c, shot, place) {
  const heat = row.h && place >= 0 ? row.h[place] : null;
  const element = make(heat ? "button" : "span", place < 0 ? "chip other" : "chip");
  element.append(make("b", "", classes[c]), " " + (row.score.get(c) ?? 0).toFixed(2));
  if (heat) {
    element.type = "button";
    element.title = "Where the evidence lies";
    element.setAttribute("aria-pressed", "false");
    element.onclick = () => toggle(element, shot, heat);
  }
  return element;
}
function toggle(button, shot, heat) {
  const on = button.getAttribute("aria-pressed") === "true";
  for (const other of button.parentNode.children) other.setAttribute("aria-pressed", "false");
  for (const old of shot.querySelectorAll(".heat")) old.remove();
  if (on) return;
  button.setAttribute("aria-pressed", "true");
  const image = make("img", "heat");
  image.src = heat;
  image.alt = "";
  shot.append(image);
}
function card(row, label) {
  const element = make("figure", "card"), frame = make("div", "frame"), shot = make("div", "shot");
  const image = make("img");
  image.src = row.t;
  image.alt = row.p;
  shot.append(image);
  frame.append(shot);
  const chips = make("div", "chips");
  row.d.forEach((c, place) => chips.append(chip(row, c, shot, place)));
  const unsure = row.u || [];
  unsure.forEach(c => {
    const mark = chip(row, c, shot, -1);
    mark.prepend("unsure: ");
    chips.append(mark);
  });
  if (label !== null && !row.d.includes(label) && !unsure.includes(label)) chips.append(chip(row, label, shot, -1));
  if (!chips.children.length) chips.append(make("span", "chip other", "no label"));
  element.append(frame, chips, make("figcaption", "", row.p));
  return element;
}

let chosen = [], shown = 0;
const label = () => at("label").value === "" ? null : Number(at("label").value);
const top_score = row => Math.max(0, ...row.score.values());
function more() {
  const next = chosen.slice(shown, shown + STEP), current = label();
  at("cards").append(...next.map(row => card(row, current)));
  shown += next.length;
}
function choose() {
  const current = label(), text = at("path").value.toLowerCase();
  const which = at("which").value, sort = at("sort").value;
  const has = list => current === null ? list.length > 0 : list.includes(current);
  chosen = rows.filter(row => row.low.includes(text) && (which === "" ||
    (which === "unsure" ? has(row.u || []) : has(row.d) === (which === "1"))));
  if (sort) {
    const score = current === null ? top_score : row => row.score.get(current) ?? 0;
    const sign = sort === "up" ? 1 : -1;
    chosen.sort((a, b) => sign * (score(a) - score(b)));
  }
  at("count").textContent = `${chosen.length} of ${rows.length} images`;
  at("cards").replaceChildren();
  shown = 0;
  fill();
}
function fill() {
  while (shown < chosen.length && at("end").getBoundingClientRect().top < innerHeight + 1500)
    more();
}
at("label").onchange = () => {
  if (at("label").value !== "" && at("which").value === "") at("which").value = "1";
  choose();
};
for (const id of ["which", "sort"]) at(id).onchange = choose;
at("path").oninput = choose;
addEventListener("scroll", fill, { passive: true });
addEventListener("resize", fill);
addEventListener("beforeprint", () => { while (shown < Math.min(chosen.length, 600)) more(); });
choose();
