// An account's page: the chart of its balance. Everything else on it needs no script.

import { BalanceChart } from "./balance_chart.js";

const known = JSON.parse(document.getElementById("chart").textContent);

for (const panel of document.querySelectorAll("[data-needs-script]")) panel.hidden = false;
new BalanceChart(document.getElementById("balance-chart"), known, {
  first: known.first,
  last: known.last,
  choose: (at, version) => { window.location.href = `${known.travel}?version=${version}`; },
});
