"use strict";
const at = id => document.getElementById(id);
const cards = [...document.querySelectorAll(".card")].map(card => ({
  card, path: card.lastChild.textContent.toLowerCase(), decided: JSON.parse(card.dataset.decided),
  unsure: JSON.parse(card.dataset.unsure), scores: new Map(JSON.parse(card.dataset.scores)) }));

function choose() {
  const option = at("label").selectedOptions[0], text = at("path").value.toLowerCase();
  const label = option.value === "" ? null : Number(option.value), which = at("which").value;
  const has = list => label === null ? list.length > 0 : list.includes(label);
  const score = one => label === null ? Math.max(0, ...one.scores.values())
    : one.scores.get(label) ?? 0;
  let count = 0;
  for (const one of cards) {
    const wanted = one.path.includes(text) && (which === "" ||
      (which === "unsure" ? has(one.unsure) : has(one.decided) === (which === "1")));
    one.card.hidden = !wanted;
    count += wanted;
    one.card.querySelector(".asked")?.remove();
    if (!wanted || label === null || has(one.decided) || has(one.unsure)) continue;
    const chip = document.createElement("span"), name = document.createElement("b");
    chip.className = "chip other asked";
    name.textContent = option.text.replace(/ \(\d+\)$/, "");
    chip.append(name, ` ${score(one).toFixed(2)}`);
    one.card.querySelector(".chips").append(chip);
  }
  const sign = Number(at("sort").value);
  const sorted = sign ? [...cards].sort((a, b) => sign * (score(a) - score(b))) : cards;
  const order = sorted.filter(one => !one.card.hidden).map(one => one.card);
  const shown = at("cards").children;
  if (order.length !== shown.length || order.some((card, place) => card !== shown[place]))
    at("cards").replaceChildren(...order);
  at("count").textContent = `${count} of ${cards.length} images`;
}
at("label").onchange = () => {
  if (at("label").value !== "" && at("which").value === "") at("which").value = "1";
};
document.forms[0].addEventListener("input", () => setTimeout(choose));
at("cards").addEventListener("click", ({ target }) => {
  const chip = target.closest("button.chip");
  if (!chip) return;
  const shot = chip.closest(".card").querySelector(".shot"), on = chip.ariaPressed === "true";
  for (const other of chip.parentNode.querySelectorAll("button")) other.ariaPressed = "false";
  shot.querySelector(".heat")?.remove();
  if (on) return;
  chip.ariaPressed = "true";
  shot.append(Object.assign(new Image(), { className: "heat", alt: "", src: chip.dataset.heat }));
});
choose();
