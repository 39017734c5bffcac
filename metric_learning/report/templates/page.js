"use strict";
(() => {
  const font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif";
  const config = {
    background: "transparent",
    font,
    text: { font },
    view: { stroke: null },
    axis: { labelFontSize: 12, titleFontSize: 12, titleFontWeight: 400, labelPadding: 6, labelSeparation: 10 },
    legend: { labelFontSize: 12, symbolSize: 90 },
  };
  const options = {
    actions: false, renderer: "svg", defaultStyle: false, config,
    tooltip: { disableDefaultStyle: true, maxDepth: 2 },
  };

  // Charts: each div of class chart holds its place and its specification.
  async function draw(chart) {
    const specification = JSON.parse(chart.querySelector("script").textContent);
    const { view } = await vegaEmbed(chart.querySelector(".plot"), specification, options);
    chart.querySelector(".plot").style.minHeight = "";
    return view;
  }

  // The map: buttons, keys, wheel and pointer all move one window over the plane.
  function move(map, view) {
    const frame = map.querySelector(".map-frame");
    const state = { zoom: 1, x: 0.5, y: 0.5 };
    const apply = () => {
      state.zoom = Math.min(60, Math.max(1, state.zoom));
      const most = 0.5 - 0.5 / state.zoom;
      for (const axis of ["x", "y"]) state[axis] = Math.min(0.5 + most, Math.max(0.5 - most, state[axis]));
      const shown = [state.zoom, state.x, state.y].map((number) => number.toFixed(2)).join(" ");
      view.signal("zoom", state.zoom).signal("center", [state.x, state.y]).runAsync()
        .then(() => { frame.dataset.shown = shown; });
    };
    const zoomBy = (factor, left = 0.5, top = 0.5) => {
      const before = state.zoom;
      state.zoom = Math.min(60, Math.max(1, before * factor));
      const moved = 1 / before - 1 / state.zoom;  // what is under the pointer stays there
      state.x += (left - 0.5) * moved;
      state.y += (0.5 - top) * moved;
      apply();
    };
    const place = (event) => {
      const box = frame.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    };
    const reset = () => { Object.assign(state, { zoom: 1, x: 0.5, y: 0.5 }); apply(); };
    const step = (x, y) => { state.x += (0.15 * x) / state.zoom; state.y += (0.15 * y) / state.zoom; apply(); };
    const keys = {
      "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), "0": reset,
      ArrowLeft: () => step(-1, 0), ArrowRight: () => step(1, 0), ArrowUp: () => step(0, 1), ArrowDown: () => step(0, -1),
      Escape: () => view.signal("picked", null).runAsync(),
    };
    const buttons = { in: () => zoomBy(1.5), out: () => zoomBy(1 / 1.5), reset };
    for (const button of map.querySelectorAll("[data-map]")) button.addEventListener("click", buttons[button.dataset.map]);
    frame.addEventListener("keydown", (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
    frame.addEventListener("wheel", (event) => {
      // A page that is scrolled over the map goes on scrolling.
      if (document.activeElement !== frame && !event.ctrlKey) return;
      event.preventDefault();
      zoomBy(Math.pow(1.0015, -event.deltaY * (event.deltaMode ? 16 : 1)), ...place(event));
    }, { passive: false });
    frame.addEventListener("dblclick", (event) => zoomBy(2, ...place(event)));
    let from = null;
    frame.addEventListener("pointerdown", (event) => {
      frame.focus({ preventScroll: true });
      from = { at: place(event), x: state.x, y: state.y };
    });
    window.addEventListener("pointermove", (event) => {
      if (!from || !event.buttons) return;
      const at = place(event);
      state.x = from.x - (at[0] - from.at[0]) / state.zoom;
      state.y = from.y + (at[1] - from.at[1]) / state.zoom;
      frame.classList.add("dragged");
      apply();
    });
    window.addEventListener("pointerup", () => { from = null; frame.classList.remove("dragged"); });
    const find = map.querySelector(".map-find");
    find.addEventListener("input", () => {
      const words = find.value.trim().toLowerCase();
      view.signal("words", words).runAsync().then(() => {
        const count = view.data("items").filter((item) => item.shown).length;
        map.querySelector(".map-count").textContent = words ? `${count} found` : "";
      });
    });
    apply();
  }

  // Tables: a button in each head sorts; numbers first go down, words first go up.
  function sortable(table) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const value = (row, column) => {
      const text = row.cells[column].textContent.trim();
      const number = Number(text.replaceAll(",", ""));
      return text !== "" && !Number.isNaN(number) ? number : text;
    };
    const compare = (one, other) => typeof one === "number" && typeof other === "number"
      ? one - other : String(one).localeCompare(String(other));
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const isNumber = head.classList.contains("number");
      const now = head.getAttribute("aria-sort");
      const up = now ? now === "descending" : !isNumber;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const missing = (row) => ["", "\u2013"].includes(row.cells[column].textContent.trim());
      const rows = [...body.rows].map((row) => [value(row, column), row, missing(row)]);
      rows.sort((a, b) => a[2] - b[2] || (up ? 1 : -1) * compare(a[0], b[0]));
      body.append(...rows.map(([, row]) => row));
    }));
  }

  function filtered(input) {
    const rows = [...document.getElementById(input.getAttribute("aria-controls")).tBodies[0].rows];
    const count = input.closest(".tools").querySelector("output");
    input.addEventListener("input", () => {
      const words = input.value.trim().toLowerCase();
      let shown = 0;
      for (const row of rows) {
        row.hidden = !row.cells[0].textContent.toLowerCase().includes(words);
        shown += !row.hidden;
      }
      count.textContent = words ? `${shown} of ${rows.length}` : "";
    });
  }

  for (const table of document.querySelectorAll("table.sortable")) sortable(table);
  for (const input of document.querySelectorAll("input.filter")) filtered(input);

  // The page can be read and used before its charts are there: those that are seen are drawn first, all others while
  // nothing else is to be done. Whoever prints before that gets them, too, but for the pictures on the map.
  const waiting = new Set(document.querySelectorAll(".chart"));
  const say = (what) => { document.documentElement.dataset[what] = Math.round(performance.now()); };
  const idle = () => new Promise((go) => (window.requestIdleCallback || setTimeout)(go));
  function load() {
    const stored = document.getElementById("library");
    if (!stored) return;
    const library = document.createElement("script");
    library.textContent = stored.textContent;
    stored.remove();
    document.head.append(library);
  }
  async function drawNow(chart) {
    if (!waiting.delete(chart)) return;
    const view = await draw(chart);
    const map = chart.closest(".map");
    if (map) move(map, view);
  }
  async function drawAll() {
    for (const image of document.images) image.loading = "eager";  // on paper, lazy ones that were never seen stay blank
    load();
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) drawNow(entry.target);
    });
    for (const chart of waiting) seen.observe(chart);
    while (waiting.size) {
      await idle();
      for (const chart of waiting) { await drawNow(chart); break; }
    }
    say("drawn");
  }
  window.addEventListener("beforeprint", () => {
    load();
    for (const chart of waiting) drawNow(chart);  // which waits for nothing but promises, so it is done before paper is laid out
  });
  say("ready");
  requestAnimationFrame(() => setTimeout(drawAll));
})();
