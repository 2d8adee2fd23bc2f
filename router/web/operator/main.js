// The page of an operator: it asks the router every two seconds while it is visible, and sends the verbs.

import { Refused, request, useToken } from "./api.js";
import { byId, bytes, clock, dollars, duration, make, milliseconds, setText } from "./dom.js";
import { Plot } from "./plots.js";
import { Table } from "./tables.js";

const EVERY_MS = 2000;

const short = (id) => id.slice(0, 8);
const total = (points, name) => points.reduce((sum, point) => sum + point[name], 0);
const latest = (points, name) => points.findLast((point) => point[name] != null)?.[name] ?? null;

const plots = [
  new Plot({
    title: "Sessions",
    lines: [{ name: "sessions", of: (point) => point.sessions }],
    write: (value) => (Number.isInteger(value) ? String(value) : ""),
    headline: (points) => String(points.at(-1)?.sessions ?? 0),
    least: 2,
  }),
  new Plot({
    title: "Latency",
    lines: [
      { name: "median", of: (point) => point.latency_p50_ms },
      { name: "p95", of: (point) => point.latency_p95_ms },
    ],
    write: milliseconds,
    headline: (points) => {
      const ms = latest(points, "latency_p50_ms");
      return ms == null ? "–" : milliseconds(ms);
    },
    least: 500,
  }),
  new Plot({
    title: "Cost",
    lines: [{ name: "cost", of: (point) => point.cost_usd }],
    write: dollars,
    headline: (points) => dollars(total(points, "cost_usd")),
  }),
];

const sessions = new Table({
  label: "Sessions",
  key: (row) => row.id,
  empty: "No session.",
  mark: (row) => row.state,
  columns: [
    { name: "Session", of: (row) => short(row.id), title: (row) => row.id },
    { name: "State", of: (row) => row.state },
    { name: "Route", of: (row) => row.route ?? "" },
    { name: "Principal", of: (row) => row.principal ?? "–" },
    { name: "Age", of: (row) => duration(row.age_s) },
    { name: "Upstream no.", of: (row) => String(row.generation) },
    { name: "Restarts", of: (row) => String(row.restarts) },
    { name: "Worker", of: (row) => String(row.worker) },
  ],
  actions: [
    { name: "Show", label: (row) => `Show session ${short(row.id)}`, run: showSession },
    {
      name: "Drain",
      label: (row) => `Drain session ${short(row.id)}`,
      isOffered: (row) => row.state === "live",
      run: (row) => ask(`Drain session ${short(row.id)}? It ends after the turn in progress.`, `sessions/${row.id}/drain`),
    },
    {
      name: "End",
      label: (row) => `End session ${short(row.id)}`,
      isOffered: (row) => row.state !== "ending",
      run: (row) => ask(`End session ${short(row.id)} now? Its client gets an Error.`, `sessions/${row.id}/end`),
    },
  ],
});

const upstreams = new Table({
  label: "Upstreams",
  key: (row) => row.position,
  empty: "No upstream.",
  mark: (row) => row.state,
  columns: [
    { name: "Upstream", of: (row) => `${row.position}: ${row.upstream}` },
    { name: "State", of: upstreamState },
    { name: "Sessions", of: (row) => String(row.sessions) },
    { name: "Dials", of: (row) => `${row.dials.ok} ok, ${row.dials.failed} failed` },
    { name: "Last dial", of: lastDial },
    { name: "Rate limits left", of: limits },
  ],
  actions: [
    {
      name: "Pause",
      label: (row) => `Pause upstream ${row.position}`,
      isOffered: (row) => row.state !== "paused",
      run: (row) => ask(`Pause upstream ${row.position}? Its sessions move to another one.`, `upstreams/${row.position}/pause`),
    },
    {
      name: "Resume",
      label: (row) => `Resume upstream ${row.position}`,
      isOffered: (row) => row.state === "paused",
      run: (row) => send(`upstreams/${row.position}/resume`),
    },
  ],
});

const workers = new Table({
  label: "Workers",
  key: (row) => row.pid,
  empty: "No worker.",
  mark: (row) => (row.problems?.length ? "failing" : row.stage),
  columns: [
    { name: "Worker", of: (row) => String(row.pid) },
    { name: "Stage", of: (row) => row.stage },
    { name: "Ready", of: (row) => (row.ready ? "yes" : row.reason ?? "no") },
    { name: "Sessions", of: (row) => String(row.sessions) },
    { name: "Up for", of: (row) => (row.uptime_s == null ? "–" : duration(row.uptime_s)) },
    { name: "Memory", of: (row) => (row.memory_bytes == null ? "–" : bytes(row.memory_bytes)) },
    { name: "Lag", of: (row) => (row.lag_s == null ? "–" : milliseconds(row.lag_s * 1000)) },
    { name: "Problems", of: (row) => row.problems?.join(", ") || "–" },
  ],
});

function upstreamState(row) {
  const state = row.breaker === "closed" ? row.state : `${row.state}, breaker ${row.breaker}`;
  return row.cool_down_s ? `${state}, ${duration(row.cool_down_s)} left` : state;
}

function lastDial(row) {
  const last = row.last_dial;
  return last ? `${last.result}, ${duration(last.age_s)} ago${last.error ? `: ${last.error}` : ""}` : "–";
}

function limits(row) {
  const written = row.rate_limits.map(({ name, left, limit }) => `${name} ${left ?? "?"} of ${limit ?? "?"}`);
  return written.join(", ") || "–";
}

// The facts.

let shown = null;

function show(facts) {
  shown = facts;
  byId("main").hidden = byId("verbs").hidden = false;
  byId("sign-in").hidden = true;
  for (const plot of plots) plot.show(facts.series, facts.at);
  const wanted = byId("state").value;
  sessions.show(facts.sessions.filter((row) => !wanted || row.state === wanted));
  upstreams.show(facts.upstreams);
  workers.show(facts.workers);
  const missing = facts.missing_workers ?? [];
  tell(missing.length ? `No answer from ${missing.join(", ")}: its sessions are missing here.` : "");
  const level = facts.workers.find((row) => row.log_level)?.log_level;
  if (level && document.activeElement !== byId("level")) byId("level").value = level;
}

function status(text, state) {
  setText(byId("status"), text);
  byId("status").dataset.state = state;
}

function tell(problem) {
  byId("problem").hidden = !problem;
  setText(byId("problem"), problem);
}

async function refresh() {
  try {
    const facts = await request("overview");
    show(facts);
    const noun = facts.sessions.length === 1 ? "session" : "sessions";
    status(`${facts.sessions.length} ${noun}`, "well");
  } catch (error) {
    if (error instanceof Refused && (error.status === 401 || error.status === 403)) return signIn(error);
    const since = shown ? `: the figures are of ${clock(shown.at)}` : "";
    status(`No answer${since}`, "failing");
  }
  return true;
}

function signIn(error) {
  byId("main").hidden = byId("verbs").hidden = true;
  byId("sign-in").hidden = false;
  status(error.status === 403 ? "This token is no administrator's" : "A token is needed", "waiting");
  return false;
}

let timer = 0;

async function run() {
  clearTimeout(timer);
  const goesOn = await refresh();
  clearTimeout(timer);
  if (goesOn && !document.hidden) timer = setTimeout(run, EVERY_MS);
}

// The verbs.

async function send(path) {
  try {
    await request(path, "POST");
    await run();
  } catch (error) {
    tell(error.message);
  }
}

function ask(question, path) {
  setText(byId("question"), question);
  const dialog = byId("confirm");
  dialog.returnValue = "no";
  dialog.showModal();
  dialog.onclose = () => {
    if (dialog.returnValue === "yes") send(path);
  };
}

async function showSession(row) {
  try {
    const facts = await request(`sessions/${row.id}`);
    setText(byId("details-title"), `Session ${row.id}`);
    byId("facts").replaceChildren(list(facts));
    byId("details").showModal();
  } catch (error) {
    tell(error.message);
  }
}

function list(facts) {
  const rows = Object.entries(facts).flatMap(([name, value]) => {
    const isNested = value !== null && typeof value === "object" && Object.keys(value).length;
    const written = value === null ? "–" : typeof value === "object" ? "none" : String(value);
    return [make("dt", { text: name }), make("dd", {}, isNested ? list(value) : written)];
  });
  return make("dl", {}, ...rows);
}

// The start.

byId("plots").append(...plots.map((plot) => plot.element));
byId("session-table").append(sessions.element);
byId("upstream-table").append(upstreams.element);
byId("worker-table").append(workers.element);
byId("state").addEventListener("change", () => shown && show(shown));
byId("level").addEventListener("change", (event) => send(`log-level?level=${event.target.value}`));
byId("drain").addEventListener("click", () =>
  ask("Drain the server? Sessions end after their turns, and then the process ends.", "drain"),
);
byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(byId("token").value);
  run();
});
document.addEventListener("visibilitychange", () => !document.hidden && run());
run();
