// Keeps the dashboard's numbers current with each status frame. Without it they are those of the page's making.

import { History } from "./charts.js";
import { showConnection } from "./connection.js";
import { LedgerFeed } from "./feed.js";
import { integer, milliseconds, percentiles, toTheSecond } from "./format.js";

const page = document.getElementById("dashboard");
const feed = new LedgerFeed(page.dataset.socket, { only: "status" });
const rates = new History(document.getElementById("chart-rate"), "events per second");
const lags = new History(document.getElementById("chart-lag"), "ms of lag");
let previous = null;

for (const panel of document.querySelectorAll("[data-needs-script]")) panel.hidden = false;
rates.fill(JSON.parse(document.getElementById("rates").textContent));

function put(name, text) {
  for (const element of document.querySelectorAll(`[data-number="${CSS.escape(name)}"]`)) {
    if (element.textContent !== text) element.textContent = text;
  }
}

function putDuration(name, value) {
  const [number, unit] = value === null ? ["–", ""] : milliseconds(value);
  put(name, number);
  put(`${name}-unit`, unit);
}

function show(status) {
  put("head_position", status.head_position === null ? "–" : integer(status.head_position));
  put("events_per_second", status.events_per_second === null ? "–" : integer(status.events_per_second));
  put("outbox_waiting", status.outbox_waiting === null ? "–" : integer(status.outbox_waiting));
  put("accounts", status.accounts === null ? "–" : integer(status.accounts));
  put("lag_events", status.lag_events === null ? "–" : integer(status.lag_events));
  putDuration("lag_ms", status.lag_ms);
  showBooks(status.is_balanced);
  showProof(status);
  showTotals(status);
  showProjections(status.projections);
  showAlarms(status);
}

const BOOKS = new Map([
  [true, ["✓ Balanced", "every sum is zero", "good"]],
  [false, ["✗ Not balanced", "some sum is not zero", "danger"]],
  [null, ["–", "not comparable just now", ""]],
]);

function showBooks(isBalanced) {
  const [word, note, tone] = BOOKS.get(isBalanced);
  put("books", word);
  put("books-note", note);
  document.getElementById("books").dataset.tone = tone;
}

function showProof({ signed, verified }) {
  put("signed", signed === null ? "–" : integer(signed.tree_size));
  put("signed-note", signed === null ? "nothing was signed yet" : toTheSecond(signed.signed_at));
  const faults = verified === null ? 0 : verified.fault_count;
  put("verified", verified === null ? "–" : faults ? `✗ ${integer(faults)} ${faults === 1 ? "fault" : "faults"}` : "✓ No fault");
  put("verified-note", verified === null ? "not from here yet" : `up to ${integer(verified.covered)}, ${toTheSecond(verified.at)}`);
  document.getElementById("verified").dataset.tone = faults ? "danger" : verified ? "good" : "";
}

function showTotals({ totals, unavailable }) {
  if (unavailable.includes("read_model")) {
    for (const { dataset: { currency } } of document.querySelectorAll("[data-currency]")) {
      put(`total-${currency}`, "–");
      put(`accounts-${currency}`, "not known just now");
    }
  }
  for (const total of totals) {
    if (document.querySelector(`[data-currency="${CSS.escape(total.currency)}"]`) === null) addCard(total);
    put(`total-${total.currency}`, total.formatted);
    put(`accounts-${total.currency}`, `${integer(total.accounts)} ${total.accounts === 1 ? "account" : "accounts"}`);
  }
}

// A currency's first account has come: its card takes its place in the alphabet.
function addCard(total) {
  document.getElementById("no-totals")?.remove();
  const card = document.getElementById("total-card").content.firstElementChild.cloneNode(true);
  card.dataset.currency = total.currency;
  card.querySelector("[data-code]").textContent = total.currency;
  card.querySelector("[data-name]").textContent = total.name;
  card.querySelector("[data-balance]").dataset.number = `total-${total.currency}`;
  card.querySelector("[data-accounts]").dataset.number = `accounts-${total.currency}`;
  const cards = document.getElementById("totals");
  cards.insertBefore(card, [...cards.children].find((other) => other.dataset.currency > total.currency) ?? null);
}

// What each projection's row shows, and nothing old where it cannot be known.
function showProjections(projections) {
  const known = new Set(projections.map(({ name }) => name));
  for (const state of document.querySelectorAll("[data-projection]")) {
    const { projection: name } = state.dataset;
    if (known.has(name)) continue;
    for (const number of ["position", "lag_events", "proven_to", "lag_percentiles"]) put(`${name}-${number}`, "–");
    state.textContent = "Not known";
    state.className = "ledger-badge ledger-badge-warning";
  }
  for (const projection of projections) {
    const { name } = projection;
    put(`${name}-position`, integer(projection.position));
    put(`${name}-lag_events`, projection.lag_events === null ? "–" : integer(projection.lag_events));
    put(`${name}-proven_to`, projection.proven_to === null ? "–" : integer(projection.proven_to));
    put(`${name}-lag_percentiles`, percentiles(projection.lag_percentiles_ms));
    const state = document.querySelector(`[data-projection="${CSS.escape(name)}"]`);
    if (state === null) continue;
    const [word, tone] = projection.alarm ? ["Stopped", "danger"]
      : projection.is_proven === false ? ["Not proven", "danger"]
        : projection.lag_events ? ["Catching up", "warning"] : ["Current", "good"];
    state.textContent = word;
    state.className = `ledger-badge ledger-badge-${tone}`;
  }
}

function showAlarms(status) {
  const alarms = status.projections.filter((projection) => projection.alarm)
    .map((projection) => `The projection ${projection.name} stands still: ${projection.alarm}`);
  for (const { name, position, is_proven, alarm } of status.projections) {
    if (is_proven === false && !alarm) alarms.push(`The projection ${name} is not what the journal says, at position ${position}.`);
  }
  if (status.late_events) alarms.push(`${status.late_events} events became visible too late: see the journal, by time.`);
  for (const { name, parked } of status.projections) {
    if (parked) alarms.push(`${parked} events wait in ${name} for a person: see Parked events.`);
  }
  for (const name of status.unavailable) alarms.push(`The ${name.replaceAll("_", " ")} does not answer.`);
  const box = document.getElementById("alarms");
  const shown = [...box.children].map((line) => line.textContent);
  box.hidden = !alarms.length;
  // Said again only when it is new, or a screen reader would repeat it each second.
  if (String(shown) === String(alarms)) return;
  box.replaceChildren(...alarms.map((alarm) => {
    const line = document.createElement("p");
    line.textContent = alarm;
    return line;
  }));
}

function chart(status) {
  if (previous !== null && status.head_position !== null && previous.head_position !== null) {
    const seconds = (Date.parse(status.at) - Date.parse(previous.at)) / 1000;
    if (seconds > 0) rates.add((status.head_position - previous.head_position) / seconds);
  }
  if (status.lag_ms !== null) lags.add(status.lag_events || status.head_position !== previous?.head_position ? status.lag_ms : 0);
  previous = status;
}

feed.addEventListener("status", ({ detail }) => {
  show(detail);
  chart(detail);
});
showConnection(feed, document.getElementById("dashboard-connection"));
feed.start();
