// Values as a person reads them. Money is an integer of minor units and never becomes a float.

let decimalsByCurrency = {};

export function useDecimals(decimals) {
  decimalsByCurrency = decimals;
}

export function money(amountMinor, currency) {
  const decimals = decimalsByCurrency[currency];
  if (decimals === undefined) return String(amountMinor);
  const negative = amountMinor < 0;
  const digits = String(Math.abs(amountMinor)).padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals).replace(/\B(?=(\d{3})+$)/g, ",");
  const fraction = decimals ? `.${digits.slice(-decimals)}` : "";
  return `${negative ? "−" : ""}${whole}${fraction}`;
}

export function integer(value) {
  return value.toLocaleString("en");
}

export function milliseconds(value) {
  if (value < 1000) return [integer(value), "ms"];
  return value < 60_000 ? [(value / 1000).toFixed(1), "s"] : [(value / 60_000).toFixed(1), "min"];
}

// The median, the 95th and the 99th percentile, in one cell.
export function percentiles(values) {
  const shown = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
  return values ? `${values.map((value) => value.toLocaleString("en", shown)).join(" / ")} ms` : "–";
}

// 2026-01-31T12:00:00.000001Z → 12:00:00.000 on its day and 2026-01-31 12:00:00 on any other; all of it is in the title.
export function shortTime(instant) {
  const isToday = instant.slice(0, 10) === new Date().toISOString().slice(0, 10);
  return isToday ? instant.slice(11, 23) : instant.slice(0, 19).replace("T", " ");
}

// 2026-01-31T12:00:00.000001Z → 2026-01-31 12:00:00 UTC
export function toTheSecond(instant) {
  return `${instant.slice(0, 10)} ${instant.slice(11, 19)} UTC`;
}
