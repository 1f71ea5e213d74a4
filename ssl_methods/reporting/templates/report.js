// Click a heading to sort by its column: by the number that a cell starts with, else by text.
// Numbers come before text; a dash, which stands for what is not known, comes last either way.
const UNIT = { s: 1, min: 60, h: 3600 };
function valueOf(text) {
  if (text === "–" || text === "") return null;
  const number = parseFloat(text.replace("< ", ""));
  return isNaN(number) ? text : number * (UNIT[text.split(" ")[1]] || 1);
}
function order(a, b) {
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0;
}
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      const rows = [...body.rows].map(row => [valueOf(row.cells[column].textContent.trim()), row]);
      const known = rows.filter(([value]) => value !== null).sort(([a], [b]) => sign * order(a, b));
      const unknown = rows.filter(([value]) => value === null);
      for (const row of body.rows) row.classList.remove("starts");
      body.append(...[...known, ...unknown].map(([, row]) => row));
    });
  });
}

// A long table can be narrowed to the rows that hold every word, e.g. a budget and a metric.
for (const table of document.querySelectorAll("table.sortable")) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 12) continue;
  const box = document.createElement("p"), input = document.createElement("input");
  input.type = "search";
  input.placeholder = "rows with these words";
  input.setAttribute("aria-label", "Show the rows with these words");
  box.className = "filter";
  box.append(input);
  table.closest(".scroll").before(box);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(" ").filter(Boolean);
    for (const row of rows) {
      const cells = [...row.cells].map(cell => cell.textContent.toLowerCase());
      row.hidden = !words.every(word => cells.some(text => /^[\d.]+$/.test(word) ? text === word : text.includes(word)));
    }
  });
}

// On paper everything is open.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const part of opened) part.open = true;
});
addEventListener("afterprint", () => { for (const part of opened) part.open = false; });

// Of the slices of a case show the one that its slider stands at.
for (const stack of document.querySelectorAll(".stack")) {
  const leaves = [...stack.querySelectorAll(".leaf")];
  const input = stack.querySelector("input"), text = stack.querySelector("label");
  const show = () => {
    leaves.forEach((leaf, i) => leaf.classList.toggle("shown", i === Number(input.value)));
    if (leaves.length > 1) text.textContent = `slice ${Number(input.value) + 1} of ${leaves.length} (${leaves[input.value].dataset.index})`;
  };
  const enlarge = stack.querySelector(".enlarge");
  enlarge.addEventListener("click", () => {
    enlarge.setAttribute("aria-pressed", stack.classList.toggle("larger"));
  });
  stack.classList.add("scripted");
  stack.querySelector(".slider").hidden = false;
  input.hidden = leaves.length < 2;
  input.addEventListener("input", show);
  show();
}

// Of the other cases show the one that is chosen.
for (const box of document.querySelectorAll(".chosen")) {
  const cases = [...box.querySelectorAll(".stack")], select = document.createElement("select");
  select.setAttribute("aria-label", "Test case");
  select.append(...cases.map(stack => new Option(stack.querySelector("h3").textContent)));
  const show = () => cases.forEach((stack, i) => { stack.hidden = i !== select.selectedIndex; });
  select.addEventListener("input", show);
  box.querySelector(".stack").before(select);
  show();
}
