for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const number = (text) => parseFloat(text.replace(/[,<>\s]/g, ""));
  heads.forEach((head, column) => head.firstChild.addEventListener("click", () => {
    const ascending = head.getAttribute("aria-sort") !== "ascending", sign = ascending ? 1 : -1;
    const rows = [...body.rows].map((row) => [row.cells[column].textContent.trim(), row]);
    // what is undefined stays at the end, whichever way the rest is sorted
    rows.sort(([a], [b]) => column === 0 ? sign * a.localeCompare(b, undefined, { numeric: true })
      : (a === "–") - (b === "–") || sign * (number(a) - number(b)) || 0);
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    body.append(...rows.map(([, row]) => row));
  }));
}
for (const search of document.querySelectorAll("input.find"))
  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase();
    for (const row of search.parentNode.querySelectorAll("tbody tr"))
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
  });
