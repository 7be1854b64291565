// Keeps the projections' places and rates current with each status frame.

import { showConnection } from "./connection.js";
import { LedgerFeed } from "./feed.js";
import { integer } from "./format.js";

const page = document.getElementById("operations");
const feed = new LedgerFeed(page.dataset.socket, { only: "status" });
let previous = null;

function put(row, name, text) {
  const cell = row.querySelector(`[data-${name}]`);
  if (cell !== null && cell.textContent !== text) cell.textContent = text;
}

feed.addEventListener("status", ({ detail: status }) => {
  const seconds = previous === null ? 0 : (Date.parse(status.at) - Date.parse(previous.at)) / 1000;
  for (const projection of status.projections) {
    const row = page.querySelector(`tr[data-projection="${CSS.escape(projection.name)}"]`);
    if (row === null) continue;
    put(row, "position", integer(projection.position));
    put(row, "behind", projection.lag_events === null ? "–" : integer(projection.lag_events));
    const before = previous?.projections.find(({ name }) => name === projection.name);
    if (before && seconds > 0) put(row, "rate-now", integer(Math.max(0, Math.round((projection.position - before.position) / seconds))));
    const word = row.querySelector("[data-state-word]");
    word.textContent = projection.alarm ? "Stopped" : projection.lag_events ? "Catching up" : "Current";
    word.className = `ledger-badge ledger-badge-${projection.alarm ? "danger" : projection.lag_events ? "warning" : "good"}`;
  }
  previous = status;
});
showConnection(feed, document.getElementById("operations-connection"));
feed.start();
