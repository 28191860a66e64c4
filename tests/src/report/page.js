"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const CLASSES = {
  complete: "complete", meant: "failed as planned", error: "error", cut: "cut off",
  wrong: "wrong", open: "never ended",
};
const ROW = 7, PAD = 8, TOP = 26, NAMES = 96, ROWS_MAX = 40, ARROWS_MAX = 4000;
const canvas = $("lanes"), pen = canvas.getContext("2d");
const lanes = data.lanes, requests = data.requests, end = Math.max(data.end, 0.001);
let view = [0, end], chosen = null, shown = new Set(requests), hits = [], colours = {};

// Bars that overlap lie in rows of their own.
function pack(bars) {
  const ends = [];
  for (const bar of bars.sort((a, b) => a.from - b.from)) {
    let row = ends.findIndex(at => at <= bar.from);
    if (row < 0) row = ends.length < ROWS_MAX ? ends.length : ends.indexOf(Math.min(...ends));
    ends[row] = Math.max(ends[row] || 0, bar.to);
    bar.row = row;
  }
  return Math.max(ends.length, 1);
}

const bars = lanes.map(() => []);
for (const request of requests) {
  const to = request.to ?? end;
  if (request.lane !== null) bars[request.lane].push({ request, from: request.from, to });
  for (const arrival of request.arrivals) {
    const part = { request, from: arrival.from, to: arrival.to ?? end, what: arrival.what };
    bars[arrival.lane].push(part);
  }
}
const faultBars = data.faults.map(fault => ({
  fault, from: fault.from ?? 0, to: fault.to ?? (fault.from ?? data.heal),
}));
const faultRows = data.faults.length ? pack(faultBars) : 0;
const faultTop = TOP, faultHeight = faultRows ? faultRows * ROW + PAD : 0;
let bottom = faultTop + faultHeight;
lanes.forEach((lane, at) => {
  const rows = pack(bars[at]);
  lane.top = bottom;
  lane.height = Math.max(rows * ROW + PAD, 20);
  bottom += lane.height;
});
const byTime = data.messages.sort((a, b) => a[0] - b[0]);
const longest = byTime.reduce((most, message) => Math.max(most, message[2] - message[0]), 0);

function width() { return canvas.clientWidth; }
function x(at) { return NAMES + (at - view[0]) / (view[1] - view[0]) * (width() - NAMES); }
function time(px) { return view[0] + (px - NAMES) / (width() - NAMES) * (view[1] - view[0]); }
function middle(lane) { return lanes[lane].top + lanes[lane].height / 2; }
function seconds(at, digits = 3) { return at.toFixed(digits) + " s"; }

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["back", "front", "soft", "line", "lane", "fault", "fault-line", "gone",
    "arrow", "mark", ...Object.keys(CLASSES)]) {
    colours[name] = style.getPropertyValue("--" + name).trim();
  }
}

function draw() {
  const scale = window.devicePixelRatio || 1, w = width(), h = bottom + 6;
  canvas.style.height = h + "px";
  canvas.width = w * scale;
  canvas.height = h * scale;
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  pen.fillStyle = colours.back;
  pen.fillRect(0, 0, w, h);
  hits = [];
  drawLanes(w, h);
  pen.save();
  pen.beginPath();
  pen.rect(NAMES, 0, w - NAMES, h);
  pen.clip();
  drawFaults(w);
  drawLives(w);
  drawBars(w);
  drawArrows(w);
  drawNotes(w);
  drawBroken(h);
  pen.restore();
  drawNames();
}

function drawLanes(w, h) {
  lanes.forEach((lane, at) => {
    pen.fillStyle = at % 2 ? colours.back : colours.lane;
    pen.fillRect(0, lane.top, w, lane.height);
  });
  const span = view[1] - view[0];
  const about = span / Math.max((w - NAMES) / 90, 1);
  const power = 10 ** Math.floor(Math.log10(about));
  const step = [1, 2, 5, 10].map(times => times * power).find(size => size >= about);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  pen.strokeStyle = colours.line;
  pen.fillStyle = colours.soft;
  pen.textAlign = "center";
  for (let at = Math.ceil(view[0] / step) * step; at <= view[1]; at += step) {
    const px = Math.round(x(at)) + 0.5;
    if (px < NAMES) continue;
    pen.beginPath();
    pen.moveTo(px, TOP - 6);
    pen.lineTo(px, h);
    pen.stroke();
    pen.fillText(at.toFixed(digits) + " s", px, 11);
  }
  pen.textAlign = "left";
}

function drawNames() {
  pen.fillStyle = colours.front;
  if (faultRows) pen.fillText("faults", 8, faultTop + faultHeight / 2);
  for (const lane of lanes) pen.fillText(lane.name, 8, lane.top + lane.height / 2);
}

function drawFaults(w) {
  for (const bar of faultBars) {
    const from = x(bar.from), to = Math.max(x(bar.to), from + 3);
    if (to < NAMES || from > w) continue;
    const top = faultTop + PAD / 2 + bar.row * ROW;
    pen.fillStyle = colours["fault-line"];
    pen.globalAlpha = bar.fault.from === null ? 0.4 : 1;
    pen.fillRect(from, top, to - from, ROW - 2);
    pen.globalAlpha = 1;
    hits.push({ x: from, y: top, w: to - from, h: ROW, tip: bar.fault.what });
    if (bar.fault.from === null) continue;
    pen.fillStyle = colours.fault;
    for (const at of bar.fault.lanes) {
      pen.fillRect(from, lanes[at].top, to - from, lanes[at].height);
    }
  }
  const heal = x(data.heal);
  pen.strokeStyle = colours.soft;
  pen.setLineDash([4, 4]);
  pen.beginPath();
  pen.moveTo(heal, TOP - 8);
  pen.lineTo(heal, bottom);
  pen.stroke();
  pen.setLineDash([]);
  pen.fillStyle = colours.soft;
  pen.fillText("healed", heal + 4, 22);
}

function drawLives(w) {
  for (const lane of lanes) {
    const role = lane.role;
    let gone = 0;
    for (const life of lane.lives) {
      if (role !== "client") shade(lane, gone, life.born, w);
      gone = life.ended ?? Infinity;
      if (role === "client") continue;
      const name = life.name;
      if (life.born > 0) mark(lane, life.born, "▲", name + " is started again");
      if (life.told !== null) mark(lane, life.told, "◇", name + " is told to stop");
      if (life.ended !== null) {
        const how = life.told === null ? " dies" : " has stopped";
        mark(lane, life.ended, "✕", name + how);
      }
    }
    if (role !== "client" && lane.lives.length) shade(lane, gone, end, w);
  }
}

function shade(lane, from, to, w) {
  const left = Math.max(x(from), NAMES), right = Math.min(x(to), w);
  if (!(right > left)) return;
  pen.fillStyle = colours.gone;
  pen.fillRect(left, lane.top, right - left, lane.height);
}

function mark(lane, at, sign, what) {
  const px = x(at), y = lane.top + lane.height / 2;
  pen.fillStyle = colours.mark;
  pen.textAlign = "center";
  pen.font = "13px system-ui, sans-serif";
  pen.fillText(sign, px, y);
  pen.font = "11px system-ui, sans-serif";
  pen.textAlign = "left";
  hits.push({ x: px - 7, y: y - 8, w: 14, h: 16, tip: seconds(at) + "  " + what });
}

function drawBars(w) {
  lanes.forEach((lane, at) => {
    for (const bar of bars[at]) {
      const from = x(bar.from), to = Math.max(x(bar.to), from + 2);
      if (to < NAMES || from > w) continue;
      const request = bar.request, top = lane.top + PAD / 2 + bar.row * ROW;
      const lit = shown.has(request) && (!chosen || chosen === request);
      pen.globalAlpha = lit ? 1 : 0.13;
      pen.fillStyle = colours[request.class];
      if (lane.role === "client") {
        pen.fillRect(from, top, to - from, ROW - 2);
      } else {
        pen.fillRect(from, top + 1, to - from, ROW - 4);
      }
      if (request.class === "cut" || request.class === "wrong") {
        pen.fillRect(to - 2, top - 1, 2, ROW);
      }
      pen.globalAlpha = 1;
      const what = bar.what ?? `${request.method} ${request.endpoint}: ${request.how}`;
      const tip = `request ${request.id}  ${what}`;
      if (shown.has(request)) hits.push({ x: from, y: top - 1, w: to - from, h: ROW, tip, request });
    }
  });
}

function firstAfter(at) {
  let low = 0, high = byTime.length;
  while (low < high) {
    const half = (low + high) >> 1;
    if (byTime[half][0] < at) low = half + 1; else high = half;
  }
  return low;
}

function drawArrows(w) {
  $("shown").textContent = "";
  if (!$("arrows").checked) return;
  const some = shown.size < requests.length ? new Set([...shown].map(it => it.id)) : null;
  const wanted = [];
  for (let at = firstAfter(view[0] - longest); at < byTime.length; at++) {
    const message = byTime[at];
    if (message[0] > view[1]) break;
    if (message[2] < view[0]) continue;
    if (chosen ? message[6] !== chosen.id : some && !some.has(message[6])) continue;
    wanted.push(message);
    if (wanted.length > ARROWS_MAX) {
      $("shown").textContent = "Too many messages to draw: zoom in, or choose a request.";
      return;
    }
  }
  const dropped = data.dropped ? `; ${data.dropped} later ones are not in this page` : "";
  $("shown").textContent = `${wanted.length} messages are drawn${dropped}.`;
  pen.globalAlpha = chosen ? 1 : Math.max(0.12, Math.min(0.8, 300 / (wanted.length + 1)));
  for (const [sent, from, came, to, bytes, kind, request] of wanted) {
    const [x0, y0, x1, y1] = [x(sent), middle(from), x(came), middle(to)];
    pen.strokeStyle = pen.fillStyle = kind === 3 ? colours.mark : colours.arrow;
    pen.setLineDash(kind === 1 ? [3, 3] : []);
    pen.beginPath();
    pen.moveTo(x0, y0);
    pen.lineTo(x1, y1);
    pen.stroke();
    const angle = Math.atan2(y1 - y0, x1 - x0);
    pen.beginPath();
    pen.moveTo(x1, y1);
    pen.lineTo(x1 - 6 * Math.cos(angle - 0.35), y1 - 6 * Math.sin(angle - 0.35));
    pen.lineTo(x1 - 6 * Math.cos(angle + 0.35), y1 - 6 * Math.sin(angle + 0.35));
    pen.fill();
    const what = [`${bytes} bytes`, "a connection", "FIN", "the connection is lost"][kind];
    const of = request === null ? "" : `, request ${request}`;
    const tip = `${seconds(sent, 6)} ${lanes[from].name} → ${lanes[to].name} ` +
      `${seconds(came, 6)}: ${what}${of}`;
    hits.push({ x: x1 - 6, y: y1 - 6, w: 12, h: 12, tip, request: byId.get(request) });
  }
  pen.setLineDash([]);
  pen.globalAlpha = 1;
}

function drawNotes(w) {
  for (const note of data.notes) {
    const px = x(note.at);
    if (px < NAMES || px > w) continue;
    const lane = lanes[note.lane];
    pen.fillStyle = colours.soft;
    pen.fillRect(px - 1, lane.top + lane.height - 5, 2, 5);
    const tip = `${seconds(note.at)}  ${lane.name} ${note.what}`;
    hits.push({ x: px - 4, y: lane.top + lane.height - 8, w: 8, h: 8, tip });
  }
}

function drawBroken(h) {
  if (!data.broken) return;
  const px = x(data.broken.at);
  pen.strokeStyle = colours.cut;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.moveTo(px, TOP - 8);
  pen.lineTo(px, h);
  pen.stroke();
  pen.lineWidth = 1;
}

function look(from, to) {
  const least = 0.0001, span = Math.min(Math.max(to - from, least), end * 1.02);
  from = Math.min(Math.max(from, -0.01 * end), end * 1.01 - span);
  view = [from, from + span];
  requestAnimationFrame(draw);
}

function zoom(times, around = (view[0] + view[1]) / 2) {
  look(around - (around - view[0]) * times, around + (view[1] - around) * times);
}

function choose(request) {
  chosen = request;
  const detail = $("detail");
  detail.textContent = "";
  if (request) {
    const put = (tag, text) => detail.appendChild(Object.assign(document.createElement(tag),
      { textContent: text }));
    put("button", "close").onclick = () => choose(null);
    put("h3", `Request ${request.id}`);
    for (const line of request.plan) put("p", line);
    put("p", request.how);
    for (const arrival of request.arrivals) put("p", arrival.what);
    if (!request.arrivals.length) put("p", "It never reached a service.");
    put("button", "show it").onclick = () => show(request);
    put("p", `pico-sim explain … --request ${request.id} tells it step by step.`);
  }
  for (const row of $("rows").children) row.classList.toggle("chosen", row.request === request);
  requestAnimationFrame(draw);
}

function show(request) {
  const to = request.to ?? end, span = Math.max(to - request.from, 0.002);
  look(request.from - span * 0.15, to + span * 0.15);
}

function filter() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const on = new Set([...document.querySelectorAll("#classes input:checked")].map(it => it.value));
  shown = new Set(requests.filter(request => {
    const text = `${request.method} ${request.endpoint} ${request.how} ${request.plan.join(" ")}`
      .toLowerCase();
    const fits = word => /^\d+$/.test(word) ? String(request.id) === word : text.includes(word);
    return on.has(request.class) && words.every(fits);
  }));
  for (const row of $("rows").children) row.hidden = !shown.has(row.request);
  if (chosen && !shown.has(chosen)) choose(null);
  requestAnimationFrame(draw);
}

const byId = new Map(requests.map(request => [request.id, request]));

function begin() {
  $("title").textContent = `pico-sim: seed ${data.seed}, revision ${data.revision}`;
  const verdict = $("verdict");
  const lines = data.broken ? data.broken.text.split("\n") : ["All invariants held."];
  verdict.textContent = lines.slice(0, 2).join("\n");
  // What follows are the records of both ends, for whoever knows them.
  $("found").hidden = lines.length < 3;
  $("found").lastChild.textContent = lines.slice(2).join("\n").trim();
  verdict.className = data.broken ? "broken" : "held";
  for (const [name, label] of Object.entries(CLASSES)) {
    const count = requests.filter(request => request.class === name).length;
    if (!count) continue;
    const chip = document.createElement("label");
    chip.className = "chip";
    chip.style.setProperty("--colour", `var(--${name})`);
    const box = Object.assign(document.createElement("input"),
      { type: "checkbox", value: name, checked: true, onchange: filter });
    chip.append(box, `${label} ${count}`);
    $("classes").append(chip);
  }
  for (const request of requests) {
    const row = $("rows").insertRow();
    row.request = request;
    row.onclick = () => { choose(request); show(request); };
    const first = row.insertCell();
    const dot = document.createElement("b");
    dot.style.background = `var(--${request.class})`;
    first.append(dot, String(request.id));
    const took = request.to === null ? "–" : seconds(request.to - request.from);
    for (const text of [seconds(request.from), took, `${request.method} ${request.endpoint}`,
      request.how]) row.insertCell().textContent = text;
  }
  for (const fault of data.faults) {
    $("faults").append(Object.assign(document.createElement("li"), { textContent: fault.what }));
  }
  if (!data.faults.length) $("faults").textContent = "Nothing but what clients and services do.";
  $("case").textContent = data.case;
  listen();
  readColours();
  const last = requests.reduce((at, request) => Math.max(at, request.to ?? 0), 0);
  look(0, Math.max(data.broken ? data.broken.at : 0, last, 0.001) * 1.03);
  const from = location.hash.match(/^#request=(\d+)$/);
  const wanted = from ? Number(from[1]) : data.broken?.request;
  if (byId.has(wanted)) { choose(byId.get(wanted)); if (from) show(byId.get(wanted)); }
}

function at(event) {
  const box = canvas.getBoundingClientRect();
  const [px, py] = [event.clientX - box.left, event.clientY - box.top];
  const inside = hit => px >= hit.x && px <= hit.x + hit.w && py >= hit.y && py <= hit.y + hit.h;
  return [px, py, hits.findLast(inside)];
}

function listen() {
  let grip = null, moved = false;
  canvas.onpointerdown = event => {
    grip = [event.clientX, ...view];
    moved = false;
    canvas.setPointerCapture(event.pointerId);
  };
  canvas.onpointermove = event => {
    if (grip) {
      const by = (event.clientX - grip[0]) / (width() - NAMES) * (grip[2] - grip[1]);
      moved ||= Math.abs(event.clientX - grip[0]) > 3;
      canvas.classList.toggle("moving", moved);
      if (moved) look(grip[1] - by, grip[2] - by);
      return;
    }
    const [px, py, hit] = at(event), tip = $("tip");
    tip.hidden = !hit;
    if (!hit) return;
    tip.textContent = hit.tip;
    tip.style.left = Math.min(px + 12, width() - tip.offsetWidth - 4) + "px";
    tip.style.top = Math.min(py + 14, bottom - tip.offsetHeight) + "px";
  };
  canvas.onpointerup = event => {
    canvas.classList.remove("moving");
    if (grip && !moved) choose(at(event)[2]?.request ?? null);
    grip = null;
  };
  canvas.onpointerleave = () => { $("tip").hidden = true; };
  canvas.addEventListener("wheel", event => {
    if (event.shiftKey) return;
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const by = event.deltaX / width() * (view[1] - view[0]);
      return look(view[0] + by, view[1] + by);
    }
    zoom(1.0015 ** event.deltaY, time(at(event)[0]));
  }, { passive: false });
  canvas.ondblclick = event => zoom(0.25, time(at(event)[0]));
  canvas.onkeydown = event => {
    const by = (view[1] - view[0]) / 8;
    const keys = {
      "+": () => zoom(0.7), "-": () => zoom(1.4), "0": () => look(0, end),
      h: () => look(0, data.heal * 1.05), ArrowLeft: () => look(view[0] - by, view[1] - by),
      ArrowRight: () => look(view[0] + by, view[1] + by), Escape: () => choose(null),
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  };
  $("in").onclick = () => zoom(0.5);
  $("out").onclick = () => zoom(2);
  $("fit").onclick = () => look(0, end);
  $("busy").onclick = () => look(0, data.heal * 1.05);
  $("arrows").onchange = () => requestAnimationFrame(draw);
  $("filter").oninput = filter;
  window.onresize = () => requestAnimationFrame(draw);
  matchMedia("(prefers-color-scheme: dark)").onchange = () => { readColours(); draw(); };
}

begin();
