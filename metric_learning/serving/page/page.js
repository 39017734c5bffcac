"use strict";

const at = (id) => document.getElementById(id);
const show = (id, text) => { at(id).textContent = text; at(id).hidden = !text; };
const number = (value) => value.toFixed(4);
let server, file, asked = 0;

async function start() {
  const response = await fetch("/health");
  server = await response.json();
  document.title = `Search: ${server.run}`;
  const size = server.index && `${server.index.items.toLocaleString("en")} ${server.kind === "ids" ? "rows" : server.kind}`;
  show("about", [server.run, size || "no index", `${server.distance} distance`].join(" · "));
  if (!server.index || !server.index.items) {
    return show("problem", "There is no index to search in: start the server with index=FOLDER.");
  }
  at("k").max = server.limits.k;
  const labels = {
    texts: "Type a text",
    ids: `A row of the table, as JSON, with the columns ${server.columns.join(", ")}`,
    features: `${server.input_shape[0]} numbers, with commas or spaces between them`,
  };
  at(server.kind === "images" ? "picture-field" : "text-field").hidden = false;
  show("text-label", labels[server.kind] || "");
  at("ask").hidden = false;
  at(server.kind === "images" ? "picture" : "text").focus();
}

function take(chosen) {
  if (!chosen) return;
  file = chosen;
  URL.revokeObjectURL(at("preview").src);
  at("preview").src = URL.createObjectURL(file);
  at("preview").hidden = false;
  search();
}

function question() {
  const k = Number(at("k").value);
  if (server.kind === "images") {
    if (!file) throw new Error("Choose a picture first.");
    if (file.size > 1e6 * server.limits.body) throw new Error(`The file has more than ${server.limits.body} MB.`);
    const form = new FormData();
    form.append("items", file);
    form.append("k", k);
    return { method: "POST", body: form };
  }
  const text = at("text").value.trim();
  if (!text) throw new Error("Type something first.");
  let item = text;
  if (server.kind === "ids") {
    try { item = JSON.parse(text); } catch { throw new Error('A row is written as {"column": "cell"}.'); }
  }
  if (server.kind === "features") {
    item = text.split(/[\s,;]+/).filter(Boolean).map(Number);
    if (item.some(Number.isNaN)) throw new Error("There is something that is no number.");
  }
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ items: [item], k }) };
}

async function search() {
  const mine = ++asked;
  const button = at("ask").querySelector("button");
  button.disabled = true;
  show("problem", "");
  try {
    const response = await fetch("/search", question());
    const answer = await response.json();
    if (mine !== asked) return; // something else has been asked since
    if (!response.ok) throw new Error(answer.detail);
    draw(answer.found[0], answer.threshold, answer.chosen_on);
  } catch (error) {
    if (mine !== asked) return;
    at("result").hidden = true;
    show("problem", error instanceof TypeError ? "The server does not answer." : error.message);
  } finally {
    if (mine === asked) button.disabled = false;
  }
}

const nameOf = (hit) => hit.label || hit.id;

function draw(hits, threshold, chosenOn) {
  const nearest = hits[0];
  const matches = threshold !== null && nearest.distance <= threshold;
  const verdict = at("verdict");
  verdict.className = matches ? "match" : threshold === null ? "" : "none";
  verdict.textContent = matches ? `A match: ${nameOf(nearest)}` : threshold === null ? `Nearest: ${nameOf(nearest)}` : "No match";
  show("within", threshold === null
    ? "No threshold has been calibrated, so nothing is said of matches."
    : `${nameOf(nearest)} is at ${number(nearest.distance)}; what is within ${number(threshold)} is taken for the same` +
      (chosenOn ? `, as chosen ${chosenOn}.` : "."));
  const lowest = Math.min(0, nearest.distance); // dot products have distances below 0
  const span = Math.max(hits[hits.length - 1].distance, threshold ?? 0) - lowest || 1;
  at("hits").replaceChildren(...hits.map((hit) => card(hit, threshold, 1 - (hit.distance - lowest) / span)));
  at("result").hidden = false;
}

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

function card(hit, threshold, nearness) {
  const within = threshold !== null && hit.distance <= threshold;
  const fill = element("i", "");
  fill.style.width = `${Math.max(2, 100 * nearness)}%`;
  const bar = element("span", "bar", fill);
  bar.setAttribute("aria-hidden", "true");
  const near = element("span", "near", number(hit.distance), element("span", within ? "match" : "", within ? "match" : ""));
  const what = element("div", "", element("span", "name", nameOf(hit)), near, bar);
  if (hit.label) {
    const id = element("span", "id", server.kind === "images" ? hit.id.split(/[\\/]/).pop() : hit.id);
    id.title = hit.id;
    what.children[0].after(id);
  }
  const item = element("li", within ? "within" : "", what);
  if (server.kind === "images") {
    const image = element("img", "");
    image.alt = "";
    image.width = image.height = 64;
    image.onerror = () => image.remove();
    image.src = `/thumbnail?id=${encodeURIComponent(hit.id)}`;
    item.prepend(image);
  }
  return item;
}

at("preview").addEventListener("error", () => { at("preview").hidden = true; });
at("ask").addEventListener("submit", (event) => { event.preventDefault(); search(); });
at("picture").addEventListener("change", (event) => take(event.target.files[0]));
at("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); search(); }
});
document.addEventListener("paste", (event) => { if (server?.kind === "images") take(event.clipboardData.files[0]); });
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", name === "dragover");
    if (name === "drop" && server?.kind === "images") take(event.dataTransfer.files[0]);
  });
}
start().catch(() => show("problem", "The server does not answer."));
