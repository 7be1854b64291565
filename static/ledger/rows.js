// One event as a row of the live page, and, opened, where it leads and its JSON.

import { address } from "./addresses.js";
import { money, shortTime } from "./format.js";

// What an amount did to the balance; the other types reserve or release, and move nothing.
const SIGN_BY_TYPE = { MoneyDeposited: 1, MoneyWithdrawn: -1, HoldCaptured: -1 };
const COPIED_MS = 1500;

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}

function cell(className, ...children) {
  const made = element("td", className);
  made.setAttribute("role", "cell");
  made.append(...children);
  return made;
}

function expander(event) {
  const button = element("button", "ledger-expand", String(event.position));
  button.type = "button";
  button.setAttribute("aria-expanded", "false");
  button.setAttribute("aria-label", `Position ${event.position}, show the whole event`);
  return button;
}

function amount(event) {
  const amountMinor = event.data.amount_minor;
  const currency = event.data.currency ?? event.state.currency;
  if (amountMinor === undefined) return element("span", "ledger-nothing", "–");
  const sign = SIGN_BY_TYPE[event.event_type] ?? 0;
  const tone = sign > 0 ? "ledger-in" : sign < 0 ? "ledger-out" : "";
  const prefix = sign > 0 ? "+" : sign < 0 ? "−" : "";
  return moneyElement(`${prefix}${money(amountMinor, currency)}`, currency, tone);
}

function balance(event) {
  const { balance_minor: balanceMinor, currency } = event.state;
  if (balanceMinor === undefined) return element("span", "ledger-nothing", "–");
  return moneyElement(money(balanceMinor, currency), currency, "");
}

function moneyElement(text, currency, tone) {
  const made = element("span", `ledger-money ${tone}`.trim(), `${text} `);
  made.append(element("span", "ledger-currency", currency));
  return made;
}

function anchor(href, text) {
  const made = element("a", "ledger-link", text);
  made.href = href;
  return made;
}

function account(event, addresses) {
  if (event.aggregate_type === "transfer") {
    return anchor(address(addresses.transfer, event.aggregate_id.replace(/^transfer:/, "")), event.aggregate_id);
  }
  if (event.aggregate_type !== "account") return element("span", "", event.aggregate_id);
  return anchor(address(addresses.account, event.aggregate_id), event.aggregate_id);
}

function titledAccount(event, addresses) {
  const made = account(event, addresses);
  made.title = event.aggregate_id;
  return made;
}

function time(event) {
  const made = element("time", "ledger-instant", shortTime(event.recorded_at));
  made.dateTime = made.title = event.recorded_at;
  return made;
}

export function row(event, addresses) {
  const made = element("tr", "ledger-row");
  made.setAttribute("role", "row");
  made.dataset.position = event.position;
  made.append(
    cell("ledger-cell-position", expander(event)),
    cell("ledger-cell-time", time(event)),
    cell("ledger-cell-type", element("span", `ledger-badge ledger-badge-event ${event.event_type}`, event.event_type)),
    cell("ledger-cell-account", titledAccount(event, addresses)),
    cell("ledger-cell-amount ledger-number", amount(event)),
    cell("ledger-cell-balance ledger-number", balance(event)),
    cell("ledger-cell-actor", element("span", "", event.metadata.actor ?? "")),
  );
  made.querySelector("button").addEventListener("click", ({ currentTarget }) => toggle(made, currentTarget, event, addresses));
  return made;
}

function toggle(opened, button, event, addresses) {
  const isOpen = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!isOpen));
  if (isOpen) opened.nextElementSibling.remove();
  else opened.after(detail(event, addresses));
}

// Where an event leads: itself, its account at that moment, what stands beside it in the journal, its proof.
function leads(event, addresses) {
  const made = element("nav", "ledger-leads");
  made.setAttribute("aria-label", `Related to position ${event.position}`);
  made.append(anchor(address(addresses.event, event.event_id), "Event"));
  if (event.aggregate_type === "account") {
    made.append(anchor(`${address(addresses.travel, event.aggregate_id)}?version=${event.version}`, "Account at this moment"));
  }
  if (event.data.transfer_id) made.append(anchor(address(addresses.transfer, event.data.transfer_id), "Transfer"));
  if (event.position > 1) made.append(anchor(address(addresses.entry, event.position - 1), "Entry before"));
  made.append(
    anchor(address(addresses.entry, event.position), "Journal entry"),
    anchor(address(addresses.entry, event.position + 1), "Entry after"),
    anchor(addresses.proof.replace("KEY", event.event_id), "Proof of inclusion"),
  );
  if (addresses.mark) made.append(anchor(addresses.mark.replace("KEY", event.event_id), "Add a finding"));
  return made;
}

function detail(event, addresses) {
  const json = JSON.stringify(event, null, 2);
  const text = element("pre", "ledger-json", json);
  text.tabIndex = 0;
  const copy = element("button", "ledger-button ledger-copy", "Copy JSON");
  copy.type = "button";
  copy.addEventListener("click", async () => {
    // Browsers give a clipboard to secure origins only; elsewhere the text is selected, ready to be copied.
    if (navigator.clipboard) await navigator.clipboard.writeText(json);
    else window.getSelection().selectAllChildren(text);
    copy.textContent = navigator.clipboard ? "Copied" : "Selected";
    window.setTimeout(() => { copy.textContent = "Copy JSON"; }, COPIED_MS);
  });
  const made = element("tr", "ledger-detail");
  made.setAttribute("role", "row");
  const whole = element("div", "ledger-json-whole");
  whole.append(copy, text);
  const all = cell("", leads(event, addresses), whole);
  all.colSpan = 7;
  made.append(all);
  return made;
}
