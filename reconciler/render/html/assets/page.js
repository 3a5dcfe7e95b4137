// The page reads well without this. It adds: a filter over the ids that the page carries, and complete groups.
// Text from outside is only ever set as text. Rows in the document are at most ROWS for each list that is open.
"use strict";
(() => {
  const ROWS = 50;
  const block = document.getElementById("carried");
  let entries = null; // parsed when somebody first looks

  function carried() {
    entries ??= block ? JSON.parse(block.textContent) : [];
    return entries;
  }

  function make(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  const number = (count) => count.toLocaleString("en-US");
  const ids = (count) => `${number(count)} ${count === 1 ? "id" : "ids"}`;

  // A list of `length` rows, ROWS at a time; `row(i)` makes the content of the i-th as an array of nodes.
  function pages(host, length, row) {
    const list = make("ol", "ids");
    const bar = make("div", "pages");
    const back = make("button", "", "Previous");
    const forth = make("button", "", "Next");
    const where = make("span", "note");
    let first = 0;
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", "Pages of ids");
    back.type = forth.type = "button";
    where.setAttribute("role", "status");
    function draw() {
      const end = Math.min(first + ROWS, length);
      const items = [];
      for (let i = first; i < end; i += 1) {
        const item = make("li");
        item.append(...row(i));
        items.push(item);
      }
      list.replaceChildren(...items);
      list.start = first + 1;
      where.textContent = `${number(first + 1)} to ${number(end)} of ${number(length)}`;
      // Not `disabled`: that would drop the keyboard's focus.
      back.setAttribute("aria-disabled", String(first === 0));
      forth.setAttribute("aria-disabled", String(end === length));
    }
    function turn(by) {
      if (first + by < 0 || first + by >= length) return;
      first += by;
      draw();
      host.scrollIntoView({ block: "nearest" });
    }
    back.addEventListener("click", () => turn(-ROWS));
    forth.addEventListener("click", () => turn(ROWS));
    draw();
    host.replaceChildren(list);
    if (length > ROWS) {
      bar.append(back, where, forth);
      host.append(bar);
    }
  }

  function fill(host, entry) {
    const each = carried()[entry];
    if (!each || !each.ids.length) return;
    pages(host, each.ids.length, (i) => {
      const id = make("code", "", each.ids[i]);
      return each.now?.[i] ? [id, make("span", "note", ` ${each.now[i]} now`)] : [id];
    });
    const left = each.total - each.ids.length;
    if (left) host.append(make("p", "more", `and ${number(left)} more, which this page does not carry`));
  }

  // Groups: complete while they are open, examples otherwise.
  const examples = new WeakMap();
  let printing = false;
  document.addEventListener(
    "toggle",
    (event) => {
      const group = event.target;
      if (printing || !(group instanceof HTMLDetailsElement) || group.dataset.entry === undefined) return;
      const body = group.querySelector(".body");
      if (group.open) {
        if (!examples.has(group)) examples.set(group, [...body.childNodes]);
        fill(body, Number(group.dataset.entry));
      } else if (examples.has(group)) {
        body.replaceChildren(...examples.get(group));
      }
    },
    true,
  );

  // The ids of a row of a table: below it, while its button is pressed.
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button[data-entry]") : null;
    if (!button) return;
    const row = button.closest("tr");
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    if (open) {
      row.nextElementSibling.remove();
      return;
    }
    const below = make("tr", "below");
    const cell = make("td");
    const host = make("div");
    cell.colSpan = row.cells.length;
    cell.append(host);
    below.append(cell);
    row.after(below);
    fill(host, Number(button.dataset.entry));
  });

  // A link to something in a folded part unfolds it.
  function reveal(hash) {
    const target = hash.length > 1 ? document.getElementById(hash.slice(1)) : null;
    if (!target) return;
    for (let each = target; each; each = each.parentElement) {
      if (each instanceof HTMLDetailsElement) each.open = true;
    }
    target.scrollIntoView({ block: "start" });
    const focus = target.matches("details") ? target.querySelector("summary") : target.closest("summary") || target;
    if (focus.tabIndex < 0) focus.tabIndex = -1;
    focus.focus({ preventScroll: true });
  }
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest('a[href^="#"]') : null;
    if (!link || link.classList.contains("skip")) return;
    event.preventDefault();
    history.replaceState(null, "", link.getAttribute("href"));
    reveal(link.getAttribute("href"));
  });
  reveal(location.hash);

  // The filter.
  const field = document.getElementById("find");
  const found = document.getElementById("found");
  const hits = document.getElementById("hits");
  let flat = null;
  let before = { text: "", hits: null };

  // All ids and keys that are searched, in one row; `owner` says where each belongs, `place` which it is there (-1: the key).
  function flatten() {
    const texts = [];
    const owner = [];
    const place = [];
    function add(text, i, j) {
      texts.push(text.toLowerCase());
      owner.push(i);
      place.push(j);
    }
    carried().forEach((each, i) => each.searched && each.key && add(each.key, i, -1));
    carried().forEach((each, i) => each.searched && each.ids.forEach((id, j) => add(id, i, j)));
    const searched = carried().filter((each) => each.searched);
    const total = searched.reduce((sum, each) => sum + each.total, 0);
    const held = searched.reduce((sum, each) => sum + each.ids.length, 0);
    return { texts, owner, place, held, total, keys: texts.length - held };
  }

  function search(text) {
    flat ??= flatten();
    const matching = [];
    if (before.hits && before.text && text.includes(before.text)) {
      for (const i of before.hits) if (flat.texts[i].includes(text)) matching.push(i);
    } else {
      for (let i = 0; i < flat.texts.length; i += 1) if (flat.texts[i].includes(text)) matching.push(i);
    }
    before = { text, hits: matching };
    return matching;
  }

  function marked(shown, text) {
    const code = make("code");
    const lower = shown.toLowerCase();
    const at = lower.length === shown.length ? lower.indexOf(text) : -1;
    if (at < 0) {
      code.textContent = shown;
    } else {
      code.append(shown.slice(0, at), make("mark", "", shown.slice(at, at + text.length)), shown.slice(at + text.length));
    }
    return code;
  }

  function result(i, text) {
    const each = entries[flat.owner[i]];
    const key = flat.place[i] < 0;
    const status = (!key && each.now?.[flat.place[i]]) || each.status;
    const where = status ? `${status} \u00b7 ${each.where}` : each.where;
    const link = make("a", "where", key ? `${where}, ${ids(each.total)}` : where);
    link.href = `#${each.at}`;
    return [marked(key ? each.key : each.ids[flat.place[i]], text), " ", link];
  }

  function filter() {
    const text = field.value.toLowerCase();
    if (!text) {
      before = { text: "", hits: null };
      hits.replaceChildren();
      found.textContent = "";
      return;
    }
    const matching = search(text);
    const missing = flat.total - flat.held;
    const matched = matching.length === 1 ? "1 match" : `${number(matching.length)} matches`;
    const keys = flat.keys ? ` and ${number(flat.keys)} ${flat.keys === 1 ? "mutation" : "mutations"}` : "";
    const rest = missing ? ` ${number(missing)} more ids were not searched: this page does not carry them.` : "";
    found.textContent = `${matched} among ${ids(flat.held)}${keys}.${rest}`;
    if (matching.length) pages(hits, matching.length, (i) => result(matching[i], text));
    else hits.replaceChildren();
  }

  if (field) {
    field.addEventListener("input", filter);
    field.addEventListener("focus", () => setTimeout(() => (flat ??= flatten())), { once: true }); // before the first key
    document.getElementById("find-form").addEventListener("submit", (event) => event.preventDefault());
    if (field.value) filter(); // kept by the browser over a reload
  }

  // On paper nothing can be unfolded.
  let opened = [];
  addEventListener("beforeprint", () => {
    printing = true;
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
    opened = [];
    setTimeout(() => {
      printing = false; // after the toggle events of these
    });
  });

  document.documentElement.classList.add("script");
})();
