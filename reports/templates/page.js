"use strict";

// A button in every column's head sorts: up, down, and back to the order of the report.

const NOTHING = new Set(["", "—", "-", "OOM", "nan", "n/a"]); // last, whichever the direction
const NUMBER = /^[+-]?(?:inf|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)/i;
const collator = new Intl.Collator(undefined, { numeric: true });
const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

function textOf(row, column) {
  return row.cells[column].textContent.trim().replaceAll("−", "-");
}

function numberIn(text) {
  const found = NUMBER.exec(text);
  return found ? Number(found[0].replace(/inf/i, "Infinity")) : null;
}

function sorted(rows, column, direction) {
  const sign = direction === "ascending" ? 1 : -1;
  const cells = rows.map((row) => ({ row, text: textOf(row, column) }));
  const empty = cells.filter((cell) => NOTHING.has(cell.text));
  const full = cells.filter((cell) => !NOTHING.has(cell.text));
  for (const cell of full) cell.number = numberIn(cell.text);
  const compare = full.every((cell) => cell.number !== null)
    ? (a, b) => (a.number < b.number ? -1 : Number(a.number > b.number))
    : (a, b) => collator.compare(a.text, b.text);
  full.sort((a, b) => sign * compare(a, b));
  return [...full, ...empty].map((cell) => cell.row);
}

for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  const blocks = [...table.tBodies].map((body) => ({ body, rows: [...body.rows] }));
  const rows = blocks.flatMap((block) => block.rows);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    if (!button.textContent.trim()) button.setAttribute("aria-label", `Column ${column + 1}`);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const direction = NEXT[head.getAttribute("aria-sort")];
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", direction);
      table.classList.toggle("sorted", direction !== "none");
      if (direction === "none") {
        for (const block of blocks) block.body.append(...block.rows);
      } else {
        blocks[0].body.append(...sorted(rows, column, direction));
      }
    });
  });
}

// A slider goes from all methods' images side by side through one method's after another's.

for (const viewer of document.querySelectorAll(".frames")) {
  const slider = viewer.querySelector("input");
  const output = viewer.querySelector("output");
  const frames = [...viewer.querySelectorAll(".frame")];
  const show = () => {
    const chosen = frames[Number(slider.value) - 1];
    const name = chosen ? chosen.firstChild.textContent : "all, side by side";
    frames.forEach((frame) => (frame.hidden = chosen !== undefined && frame !== chosen));
    viewer.classList.toggle("one", chosen !== undefined);
    output.textContent = name;
    slider.setAttribute("aria-valuetext", name);
  };
  slider.addEventListener("input", show);
  show();
  slider.closest("p").hidden = false;
}
