// SPDX-License-Identifier: GPL-2.0-only
for (const table of document.querySelectorAll("table.list")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const value = (row, i) => row.cells[i]?.dataset.value ?? row.cells[i]?.textContent.trim() ?? "";
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const order = new Intl.Collator("en", { numeric: true });
      const keyed = [...body.rows].map((row) => [value(row, i), row]);
      keyed.sort((a, b) => (up ? 1 : -1) * order.compare(a[0], b[0]));
      body.append(...keyed.map((pair) => pair[1]));
    });
  });
  const label = document.createElement("label"), input = document.createElement("input"), told = document.createElement("output");
  label.className = "find";
  input.type = "search";
  input.placeholder = "words, all of which a row has";
  label.append("Filter", input, told);
  table.parentElement.before(label);
  let texts = null;
  input.addEventListener("input", () => {
    texts ??= [...body.rows].map((row) => [row, row.textContent.toLowerCase()]);
    const words = input.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const [row, text] of texts) {
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    told.textContent = `${shown} of ${texts.length}`;
  });
}
