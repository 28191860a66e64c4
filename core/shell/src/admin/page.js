// Shows what the status API says, and asks again every two seconds.
"use strict";

const EVERY = 2000;
const at = (id) => document.getElementById(id);

// Which node is asked, and behind which item each list begins.
let asked = "";
const after = { nodes: "", endpoints: "", tunnels: "" };

const span = (seconds) => {
  if (seconds === null) return "";
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${seconds} s`;
};
const millis = (ms) => (ms === null ? "" : `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`);

// A cell: a text, or a text and the class that it is shown in.
const cell = (content) => {
  const [text, kind] = Array.isArray(content) ? content : [content, ""];
  const td = document.createElement("td");
  td.textContent = String(text);
  if (kind) td.className = kind;
  return td;
};
const row = (contents) => {
  const tr = document.createElement("tr");
  tr.append(...contents.map(cell));
  return tr;
};

const links = ({ up, dialing, avoided }) => {
  const parts = [];
  if (up) parts.push(`${up} up`);
  if (dialing) parts.push(`${dialing} dialing`);
  if (avoided) parts.push(`${avoided} avoided`);
  return [parts.join(", "), avoided ? "warn" : ""];
};

const rows = {
  nodes: (list) => list.nodes.map((node) => row([
    node.this ? `${node.id} (this)` : node.id,
    [node.state, node.state],
    node.address ?? "",
    node.version ?? "",
    [node.endpoints, "number"],
    [millis(node.rtt_ms), "number"],
    links(node.links),
    [span(node.age_seconds), "number"],
  ])),
  endpoints: (list) => list.endpoints.map((endpoint) => {
    const more = endpoint.nodes_total - endpoint.nodes.length;
    const nodes = endpoint.nodes.join(", ") + (more > 0 ? ` and ${more} more` : "");
    return row([endpoint.endpoint, [endpoint.upstreams, "number"], nodes]);
  }),
  tunnels: (list) => list.tunnels.map((tunnel) => row([
    tunnel.endpoint,
    tunnel.id,
    `${tunnel.agent.id} (${tunnel.agent.software})`,
    tunnel.peer,
    [tunnel.calls, "number"],
    [millis(tunnel.rtt_ms), "number"],
    [span(tunnel.age_seconds), "number"],
  ])),
};

async function ask(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value) query.set(name, value);
  const text = query.size > 0 ? `?${decodeURIComponent(query)}` : "";
  const answer = await fetch(`status/${path}${text}`, { cache: "no-store" });
  const body = await answer.json();
  if (!answer.ok) throw new Error(`${body.error} (${body.code})`);
  return body;
}

async function show(name) {
  const list = await ask(name, { node: asked, after: after[name], limit: "100" });
  const found = rows[name](list);
  const body = at(name);
  if (found.length > 0) {
    body.replaceChildren(...found);
  } else {
    const none = row([["none", "empty"]]);
    none.firstChild.colSpan = 8;
    body.replaceChildren(none);
  }
  const part = list.complete === false ? ", incomplete" : "";
  at(`${name}-total`).textContent = `${list.total}${part}`;
  const more = at(`${name}-more`);
  more.hidden = list.next === null && after[name] === "";
  more.textContent = list.next === null ? `First ${name}` : `Next ${name}`;
  more.dataset.after = list.next ?? "";
  return list;
}

// The choice of nodes, as the node of this page knows them.
async function choose() {
  const list = await ask("nodes", { limit: "1000" });
  const live = list.nodes.filter((node) => !["dead", "left"].includes(node.state));
  const names = live.map((node) => node.id);
  const select = at("ask");
  const shown = Array.from(select.options, (option) => option.value);
  if (asked === "") asked = list.node;
  if (!names.includes(asked)) names.push(asked);
  if (shown.join() !== names.join()) {
    select.replaceChildren(...names.map((name) => new Option(name, name, false, name === asked)));
  }
}

async function refresh() {
  const summary = at("summary");
  try {
    await choose();
    const [gossip] = await Promise.all(
      [ask("gossip", { node: asked }), ...Object.keys(rows).map(show)],
    );
    at("node").textContent = gossip.node;
    const state = gossip.draining ? "draining" : gossip.ready ? "ready" : "not ready";
    const cluster = gossip.cluster ? `, cluster ${gossip.cluster.name}` : "";
    const text = `${state}${cluster}`;
    if (summary.textContent !== text) summary.textContent = text;
    summary.className = gossip.ready ? "alive" : "warn";
  } catch (error) {
    summary.textContent = `No answer: ${error.message}`;
    summary.className = "bad";
  }
}

async function turn() {
  if (at("live").checked && !document.hidden) await refresh();
  setTimeout(turn, EVERY);
}

at("ask").addEventListener("change", (event) => {
  asked = event.target.value;
  Object.keys(after).forEach((name) => { after[name] = ""; });
  refresh();
});
for (const name of Object.keys(rows)) {
  at(`${name}-more`).addEventListener("click", (event) => {
    after[name] = event.target.dataset.after;
    refresh();
  });
}
refresh().then(() => setTimeout(turn, EVERY));
