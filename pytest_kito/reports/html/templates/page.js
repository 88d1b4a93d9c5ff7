// Sorts, filters and searches the overview, and opens a model that a link leads to. Without it, the
// page is a plain table with the models below.
// The browser leaves what a model shows on a click as text (in <noscript>). It is parsed when the
// model opens, or when the browser has nothing else to do, so that searching in the page finds it.
"use strict";
(() => {
  const form = document.querySelector(".controls");
  const table = document.querySelector(".overview");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const list = document.querySelector(".models");
  const boxes = new Map([...list.children].map((box) => [box.dataset.model, box]));
  const search = form.elements.search;
  const found = form.querySelector(".found");
  const none = document.querySelector(".none");
  const names = new Intl.Collator("en", { numeric: true });

  const parse = (box) => {
    const text = box.querySelector(":scope > noscript");
    if (text) text.outerHTML = text.textContent;
  };

  const show = () => {
    const text = search.value.trim().toLowerCase();
    const status = form.elements.status.value;
    let count = 0;
    for (const row of rows) {
      const fits =
        (!status || row.dataset.status === status) &&
        row.cells[0].textContent.toLowerCase().includes(text);
      row.hidden = !fits;
      boxes.get(row.dataset.model).hidden = !fits;
      count += fits;
    }
    found.textContent = `${count} of ${rows.length} shown`;
    none.hidden = count > 0;
  };

  const sort = (head, index) => {
    const order = { none: "ascending", ascending: "descending", descending: "none" };
    const now = order[head.getAttribute("aria-sort") || "none"];
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    if (now !== "none") head.setAttribute("aria-sort", now);
    const number = head.dataset.sort === "number";
    const sign = now === "descending" ? -1 : 1;
    const sorted = [...rows];
    if (now !== "none") {
      sorted.sort((first, second) => {
        const [a, b] = [first, second].map((row) => row.cells[index].dataset.key);
        // What has no figure comes last in either direction.
        if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
        return sign * (number ? a - b : names.compare(a, b));
      });
    }
    body.append(...sorted);
    list.append(...sorted.map((row) => boxes.get(row.dataset.model)));
  };

  [...table.tHead.rows[0].cells].forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head, index));
    head.append(button);
  });

  const open = () => {
    const box = boxes.get(decodeURIComponent(location.hash.slice(1)));
    if (!box) return;
    if (box.hidden) reset();
    parse(box);
    box.open = true;
    box.scrollIntoView();
    box.querySelector("summary").focus({ preventScroll: true });
  };

  const reset = () => {
    form.reset();
    show();
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", show);
  none.querySelector("button").addEventListener("click", () => {
    reset();
    search.focus();
  });
  addEventListener("hashchange", open);
  // A second click on the same link changes no address.
  body.addEventListener("click", (event) => {
    if (event.target.closest("a")) setTimeout(open);
  });
  // The event does not bubble.
  list.addEventListener("toggle", (event) => boxes.has(event.target.dataset.model) && parse(event.target), true);
  let closed = [];
  addEventListener("beforeprint", () => {
    boxes.forEach(parse);
    closed = [...list.querySelectorAll("details.model:not([open])")];
    for (const box of closed) box.open = true;
  });
  addEventListener("afterprint", () => {
    for (const box of closed) box.open = false;
  });
  const rest = [...boxes.values()];
  const parseSome = (deadline) => {
    while (rest.length && deadline.timeRemaining() > 0) parse(rest.shift());
    if (rest.length) requestIdleCallback(parseSome);
  };
  form.hidden = false;
  show();
  open();
  if ("requestIdleCallback" in window) addEventListener("load", () => requestIdleCallback(parseSome));
})();
