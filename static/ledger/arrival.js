// Marks the events of one command as they arrive in the stream of live events, with the position they got.

import { showConnection } from "./connection.js";
import { LedgerFeed } from "./feed.js";
import { integer } from "./format.js";

const page = document.getElementById("arrival");
const feed = new LedgerFeed(page.dataset.socket, { after: Number(page.dataset.after) });

feed.addEventListener("events", ({ detail: events }) => {
  for (const event of events) {
    const row = page.querySelector(`[data-event="${CSS.escape(event.event_id)}"]`);
    if (row === null) continue;
    row.querySelector("[data-position]").textContent = integer(event.position);
    const badge = row.querySelector("[data-arrived]");
    badge.textContent = "arrived";
    badge.classList.add("ledger-badge-good");
  }
});
showConnection(feed, document.getElementById("arrival-connection"));
feed.start();
