// One event as a row of the live page, and, opened, as JSON.

import { money, timeOfDay } from "./format.js";

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

function account(event, accountPath) {
  if (event.aggregate_type !== "account") return element("span", "", event.aggregate_id);
  const link = element("a", "ledger-link", event.aggregate_id);
  link.href = accountPath.replace("ACCOUNT", encodeURIComponent(event.aggregate_id));
  return link;
}

function time(event) {
  const made = element("time", "ledger-instant", timeOfDay(event.recorded_at));
  made.dateTime = made.title = event.recorded_at;
  return made;
}

export function row(event, accountPath) {
  const made = element("tr", "ledger-row");
  made.setAttribute("role", "row");
  made.dataset.position = event.position;
  made.append(
    cell("ledger-cell-position", expander(event)),
    cell("ledger-cell-time", time(event)),
    cell("ledger-cell-type", element("span", `ledger-badge ledger-badge-event ${event.event_type}`, event.event_type)),
    cell("ledger-cell-account", account(event, accountPath)),
    cell("ledger-cell-amount ledger-number", amount(event)),
    cell("ledger-cell-balance ledger-number", balance(event)),
    cell("ledger-cell-actor", element("span", "", event.metadata.actor ?? "")),
  );
  made.querySelector("button").addEventListener("click", ({ currentTarget }) => toggle(made, currentTarget, event));
  return made;
}

function toggle(opened, button, event) {
  const isOpen = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!isOpen));
  if (isOpen) opened.nextElementSibling.remove();
  else opened.after(detail(event));
}

function detail(event) {
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
  const all = cell("", copy, text);
  all.colSpan = 7;
  made.append(all);
  return made;
}
