// The live events page: newest first, drawn in batches, a bounded number of rows, pausable without loss.

import { showConnection } from "./connection.js";
import { LedgerFeed } from "./feed.js";
import { integer, useDecimals } from "./format.js";
import { row } from "./rows.js";

// Laying the table out for one more event costs the more the more rows there are; what is older is in the journal.
const ROWS_MAX = 250;
// A lone event is drawn at once. Under load they are gathered, because laying the table out costs the same for one new
// row as for fifty: for as long as leaves the browser half of its time for other things, and within these bounds.
const DRAW_INTERVAL_MS_MIN = 40;
const DRAW_INTERVAL_MS_MAX = 100;
// More than these arriving at once are no news to the eye, and fading all of them would paint the table anew each frame.
const FADED_MAX = 5;
// Kept while paused; what comes beyond is only counted, and read again from the journal afterwards.
const WAITING_MAX = 2_000;

const page = document.getElementById("live");
const body = document.getElementById("live-rows");
const empty = document.getElementById("live-empty");
const pause = document.getElementById("live-pause");
const head = document.getElementById("live-head");

function given(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

const addresses = given("addresses");
useDecimals(given("decimals"));

const feed = new LedgerFeed(page.dataset.socket, {
  after: page.dataset.after === "" ? null : Number(page.dataset.after),
  filter: given("filter"),
});
let waiting = [];
let notKept = 0;
let isPaused = false;
let isDrawing = false;
let isFirstDrawing = true;
let drawnAt = 0;
let drawInterval = DRAW_INTERVAL_MS_MIN;

function draw() {
  isDrawing = false;
  if (isPaused || !waiting.length) return;
  drawnAt = performance.now();
  // Of more than fit, the older ones would be removed in the same breath.
  const shown = waiting.slice(-ROWS_MAX);
  waiting = [];
  const rows = shown.reverse().map((event) => row(event, addresses));
  if (!isFirstDrawing && rows.length <= FADED_MAX) for (const made of rows) made.classList.add("is-new");
  isFirstDrawing = false;
  body.prepend(...rows);
  trim();
  empty.hidden = true;
  page.dataset.position = shown[0].position;
  // Runs when the frame has been laid out and painted.
  window.setTimeout(() => {
    const cost = performance.now() - drawnAt;
    drawInterval = Math.min(DRAW_INTERVAL_MS_MAX, Math.max(DRAW_INTERVAL_MS_MIN, 2 * cost));
  });
}

function trim() {
  const rows = body.querySelectorAll(":scope > .ledger-row");
  for (let index = ROWS_MAX; index < rows.length; index += 1) {
    if (rows[index].nextElementSibling?.classList.contains("ledger-detail")) rows[index].nextElementSibling.remove();
    rows[index].remove();
  }
}

function drawSoon() {
  if (isDrawing) return;
  isDrawing = true;
  window.setTimeout(() => requestAnimationFrame(draw), Math.max(0, drawnAt + drawInterval - performance.now()));
}

function labelPause() {
  const count = waiting.length + notKept;
  pause.setAttribute("aria-pressed", String(isPaused));
  pause.querySelector("[data-icon]").textContent = isPaused ? "play_arrow" : "pause";
  pause.querySelector("[data-text]").textContent = !isPaused ? "Pause" : count ? `Resume: ${integer(count)} waiting` : "Resume";
}

function togglePause() {
  isPaused = !isPaused;
  if (!isPaused && notKept) {
    notKept = 0;
    feed.resumeAfter(waiting.at(-1).position);
  }
  labelPause();
  drawSoon();
}

feed.addEventListener("events", ({ detail: events }) => {
  const room = isPaused ? Math.max(0, WAITING_MAX - waiting.length) : events.length;
  // Once one was left out, all after it must be, or the journal could not be resumed from one place.
  const kept = notKept ? 0 : room;
  waiting.push(...events.slice(0, kept));
  notKept += Math.max(0, events.length - kept);
  // A hidden page is not drawn; then only what would be shown is worth keeping.
  if (!isPaused && waiting.length > ROWS_MAX) waiting = waiting.slice(-ROWS_MAX);
  if (isPaused) labelPause();
  else drawSoon();
});
// Why there is nothing to see: there is none, or nobody knows.
function say(why) {
  for (const text of empty.querySelectorAll("[data-when]")) text.hidden = text.dataset.when !== why;
}

feed.addEventListener("state", ({ detail: { name } }) => {
  if (name === "reconnecting" || name === "offline") say("cut");
});
feed.addEventListener("status", ({ detail }) => {
  say(detail.unavailable.includes("event_store") ? "away" : "none");
  // Events may have come since the server took the status.
  if (detail.head_position !== null) head.textContent = Math.max(detail.head_position, feed.position);
});
pause.addEventListener("click", togglePause);
document.addEventListener("keydown", (key) => {
  const isTyping = key.target.closest?.("input, select, textarea, button, a, [contenteditable]");
  if (key.key === "p" && !isTyping && !key.ctrlKey && !key.metaKey && !key.altKey) togglePause();
});

showConnection(feed, document.getElementById("live-connection"));
pause.disabled = false;
feed.start();
