"use strict";
// Sort, filter, highlight and copy: the page says everything without it.
{
  const byId = (id) => document.getElementById(id);
  const table = byId("cases"), body = table.tBodies[0], peek = byId("peek");
  const headings = [...table.tHead.rows[0].cells], rows = [...body.rows];
  const spaces = /\s+/g;
  const plain = (cell) => {
    const copy = cell.cloneNode(true);
    for (const extra of copy.querySelectorAll(".marks, .sign")) extra.remove();
    copy.querySelector(".letters")?.prepend(" ");
    return copy.textContent.replace(spaces, " ").trim();
  };
  const names = new Map(rows.map((row) => [row.dataset.case, plain(row.cells[0])]));
  const titles = headings.map((heading) => {
    const [title, unit, group] = [".title", ".unit", ".group"].map((part) => heading.querySelector(part)?.textContent);
    return `${title}${unit ? ` (${unit})` : ""}${group ? `, ${group}` : ""}`;
  });

  // Sorting: up, down, then the suite's order again. What is missing stays last.
  const value = (row, place) => place === 0 ? names.get(row.dataset.case) : Number(row.cells[place].dataset.value ?? NaN);
  const order = (one, other) => one === other ? 0 : Number.isNaN(one) ? 1 : Number.isNaN(other) ? -1 : one < other ? -1 : 1;
  const sort = (heading, place) => {
    const next = { none: "ascending", ascending: "descending", descending: "none" }[heading.ariaSort ?? "none"];
    for (const other of headings) other.removeAttribute("aria-sort");
    if (next !== "none") heading.setAttribute("aria-sort", next);
    const turned = (one, other) => {
      const [a, b] = [value(one, place), value(other, place)];
      return next === "descending" && !Number.isNaN(a) && !Number.isNaN(b) ? order(b, a) : order(a, b);
    };
    body.append(...(next === "none" ? rows : [...rows].sort(turned)));
  };
  headings.forEach((heading, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(heading, place));
    heading.append(button);
  });

  // One case lit in table and figures alike, by pointer or by keyboard.
  const marks = new Map([...names.keys()].map((id) => [id, []]));
  for (const mark of document.querySelectorAll("[data-case]")) marks.get(mark.dataset.case)?.push(mark);
  const visible = () => headings.map((heading, place) => place).filter((place) => headings[place].offsetWidth > 0);
  const told = (row) => visible().slice(1).map((place) => `${titles[place]}: ${plain(row.cells[place])}`).join(" · ");
  let lit = null;
  const light = (id, from) => {
    if (id !== lit) {
      for (const mark of marks.get(lit) ?? []) mark.classList.remove("here");
      for (const mark of marks.get(id) ?? []) mark.classList.add("here");
      document.body.classList.toggle("lit", id !== null);
      lit = id;
    }
    peek.hidden = id === null || !from.closest(".picture");
    if (!peek.hidden) {
      const name = document.createElement("b");
      name.textContent = names.get(id);
      peek.replaceChildren(name, ` ${told(rows[Number(id)])}`);
    }
  };
  const follow = (event) => light(event.target.closest?.("[data-case]")?.dataset.case ?? null, event.target);
  document.addEventListener("pointerover", follow);
  document.addEventListener("focusin", follow);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") light(null); });

  // The rows are one stop of the tab key; arrows walk them.
  const walk = (row) => {
    for (const other of rows) other.tabIndex = -1;
    row.tabIndex = 0;
  };
  if (rows.length) walk(rows[0]);
  body.addEventListener("keydown", (event) => {
    const left = [...body.rows].filter((row) => !row.hidden), here = left.indexOf(event.target);
    const there = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: left.length - 1 }[event.key];
    if (here < 0 || !left[there]) return;
    event.preventDefault();
    walk(left[there]);
    left[there].focus();
  });

  // Cases whose names hold every word stay.
  const filter = byId("filter");
  const choose = () => {
    const words = filter.value.toLowerCase().split(spaces);
    for (const row of rows) {
      row.hidden = !words.every((word) => names.get(row.dataset.case).toLowerCase().includes(word));
      for (const mark of marks.get(row.dataset.case)) if (mark !== row) mark.classList.toggle("out", row.hidden);
    }
    const left = rows.filter((row) => !row.hidden);
    if (left.length) walk(left[0]);
    byId("count").textContent = left.length < rows.length ? `${left.length} of ${rows.length}` : "";
  };
  filter.addEventListener("input", choose);

  // What is seen of the table, as text for elsewhere.
  const tex = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "±": "$\\pm$",
    "−": "$-$", "–": "--", "µ": "\\textmu{}", "<": "\\textless{}", ">": "\\textgreater{}" };
  const forms = {
    Markdown: (lines) => {
      const cells = lines.map((line) => line.map((text) => text.replace(/[\\`*_[\]<>|~$#&]/g, "\\$&")));
      cells.splice(1, 0, cells[0].map((_, place) => place ? "---:" : ":---"));
      return cells.map((line) => `| ${line.join(" | ")} |`).join("\n");
    },
    LaTeX: (lines) => {
      const safe = (text) => text.replace(/[\\~^±−–µ<>]|[&%$#_{}]/g, (sign) => tex[sign] ?? `\\${sign}`);
      const [head, ...rest] = lines.map((line) => `${line.map(safe).join(" & ")} \\\\`);
      const begin = `\\begin{tabular}{l${"r".repeat(lines[0].length - 1)}}\n\\toprule`;
      return `${begin}\n${head}\n\\midrule\n${rest.join("\n")}\n\\bottomrule\n\\end{tabular}`;
    },
    CSV: (lines) => {
      const inert = (text, place) => place === 0 && /^[=+\-@]/.test(text) ? `'${text}` : text;
      const safe = (text) => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
      return lines.map((line) => line.map(inert).map(safe).join(",")).join("\n");
    },
  };
  const copy = async (form) => {
    const places = visible(), left = [...body.rows].filter((row) => !row.hidden), text = byId("text");
    const lines = [places.map((place) => titles[place]), ...left.map((row) => places.map((place) => plain(row.cells[place])))];
    text.value = `${forms[form](lines)}\n`;
    const done = await navigator.clipboard?.writeText(text.value).then(() => true, () => false);
    text.hidden = Boolean(done);
    byId("copied").textContent = done ? `Copied ${left.length} rows as ${form}.` : `${left.length} rows as ${form}, to copy from here:`;
    if (!done) text.select();
  };
  for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button.dataset.copy));

  for (const element of document.querySelectorAll(".scripted")) element.hidden = element === peek;
}
