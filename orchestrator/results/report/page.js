
// A click on a column's head sorts by it, numbers downwards first; kinds of number stay apart, each in its own body.
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
    head.append(button);
    button.addEventListener("click", () => {
      const downwards = head.ariaSort === null ? column > 0 : head.ariaSort === "ascending";
      for (const other of table.tHead.rows[0].cells) other.ariaSort = null;
      head.ariaSort = downwards ? "descending" : "ascending";
      sort(table, column, downwards);
    });
  });
}
