
// A click on a column's head sorts by it, numbers downwards first; kinds of number stay apart, each in its own body.
// A long table has a field above it: rows without what is typed there are hidden.
const long = 15;
const empty = new Set(["", "–"]);
const text = (row, column) => row.cells[column].textContent.trim();

function sort(table, column, downwards) {
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("kind"));
    const filled = rows.filter((row) => !empty.has(text(row, column)));
    const numeric = filled.every((row) => Number.isFinite(Number(text(row, column))));
    const compare = numeric
      ? (a, b) => Number(text(a, column)) - Number(text(b, column))
      : (a, b) => text(a, column).localeCompare(text(b, column), undefined, { numeric: true });
    filled.sort((a, b) => (downwards ? -compare(a, b) : compare(a, b)));
    body.append(...filled, ...rows.filter((row) => empty.has(text(row, column))));
  }
}

for (const table of document.querySelectorAll("table")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    if (button.textContent.trim() === "") button.ariaLabel = "sort by name";
    head.append(button);
    button.addEventListener("click", () => {
      const downwards = head.ariaSort === null ? column > 0 : head.ariaSort === "ascending";
      for (const other of table.tHead.rows[0].cells) other.ariaSort = null;
      head.ariaSort = downwards ? "descending" : "ascending";
      sort(table, column, downwards);
    });
  });
}

for (const table of document.querySelectorAll("table")) {
  const rows = [...table.querySelectorAll("tbody tr:not(.kind)")];
  if (rows.length <= long) continue;
  const label = document.createElement("label");
  const field = document.createElement("input");
  const count = document.createElement("output");
  field.type = "search";
  field.ariaLabel = `Filter rows, ${table.parentElement.ariaLabel}`;
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const cells = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => cells.includes(word));
    }
    count.value = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  });
  label.append("Filter rows: ", field);
  const line = document.createElement("p");
  line.className = "filter";
  line.append(label, " ", count);
  table.parentElement.before(line);
}
