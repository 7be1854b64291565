// Keeps what is said of each projection current with each status frame; what cannot be known is not left as it was.

import { showConnection } from "./connection.js";
import { LedgerFeed } from "./feed.js";
import { integer, percentiles } from "./format.js";

const page = document.getElementById("operations");
const feed = new LedgerFeed(page.dataset.socket, { only: "status" });
const NUMBERS = ["position", "behind", "rate-now", "percentiles", "parked"];
let previous = null;

function put(row, name, text) {
  const cell = row.querySelector(`[data-${name}]`);
  if (cell !== null && cell.textContent !== text) cell.textContent = text;
}

function badge(element, [word, tone]) {
  if (element.textContent === word) return;
  element.textContent = word;
  element.className = tone ? `ledger-badge ledger-badge-${tone}` : "";
}

function figure(value) {
  return value === null ? "–" : integer(value);
}

function standing({ alarm, is_proven: isProven, lag_events: behind }) {
  if (alarm) return ["Stopped", "danger"];
  if (isProven === false) return ["Not proven", "danger"];
  return behind ? ["Catching up", "warning"] : ["Current", "good"];
}

function proof({ is_proven: isProven, proven_to: provenTo }) {
  if (isProven === null) return ["–", ""];
  return isProven ? [`✓ ${integer(provenTo)}`, "good"] : ["✗ differs from the journal", "danger"];
}

function rate(projection, { at, projections }, now) {
  const before = projections.find(({ name }) => name === projection.name);
  const seconds = (Date.parse(now) - Date.parse(at)) / 1000;
  return before && seconds > 0 ? integer(Math.max(0, Math.round((projection.position - before.position) / seconds))) : "–";
}

function show(row, projection, status) {
  put(row, "position", integer(projection.position));
  put(row, "behind", figure(projection.lag_events));
  if (previous !== null) put(row, "rate-now", rate(projection, previous, status.at));
  put(row, "percentiles", percentiles(projection.lag_percentiles_ms));
  put(row, "parked", integer(projection.parked));
  badge(row.querySelector("[data-state-word]"), standing(projection));
  badge(row.querySelector("[data-proof]"), proof(projection));
}

feed.addEventListener("status", ({ detail: status }) => {
  for (const row of page.querySelectorAll("tr[data-projection]")) {
    const projection = status.projections.find(({ name }) => name === row.dataset.projection);
    if (projection !== undefined) show(row, projection, status);
    else if (status.unavailable.includes("read_model")) {
      for (const name of NUMBERS) put(row, name, "–");
      badge(row.querySelector("[data-state-word]"), ["Not known", "warning"]);
      badge(row.querySelector("[data-proof]"), ["–", ""]);
    }
  }
  previous = status;
});
showConnection(feed, document.getElementById("operations-connection"));
feed.start();
