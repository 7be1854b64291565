// The line of a balance over time, drawn with the Chart.js that unfold brings. Each point is [µs since 1970, minor
// units, version]. The line holds a value until the next point, as a balance does.

/* global Chart */

import { color, isDark } from "./charts.js";
import { money, useDecimals } from "./format.js";
import { instant } from "./instants.js";

const POINTS_WITH_DOTS_MAX = 40;

// Tells whoever stands beneath where the chart's area begins and ends.
const EDGES = {
  id: "edges",
  afterLayout({ chartArea, width, edges }) {
    edges?.(chartArea.left, width - chartArea.right);
  },
};

// Draws a line where the page stands.
const MARKER = {
  id: "marker",
  afterDatasetsDraw(chart) {
    if (chart.marker === undefined) return;
    const { ctx, chartArea: { top, bottom }, scales: { x } } = chart;
    const at = x.getPixelForValue(chart.marker);
    ctx.save();
    ctx.strokeStyle = chart.markerColor;
    ctx.lineWidth = 1.5;
    ctx.setLineDash([4, 3]);
    ctx.beginPath();
    ctx.moveTo(at, top);
    ctx.lineTo(at, bottom);
    ctx.stroke();
    ctx.restore();
  },
};

export class BalanceChart {
  // `choose` is called with the instant (µs) and the version of a point that was clicked.
  constructor(canvas, { points, currency, decimals }, { first, last, choose, isBare = false }) {
    useDecimals({ [currency]: decimals });
    const shown = points.map(([at, balanceMinor, version]) => ({ x: at, y: balanceMinor, version }));
    if (shown.length) shown.push({ ...shown.at(-1), x: last });
    this.chart = new Chart(canvas, {
      type: "line",
      data: {
        datasets: [{
          data: shown, fill: true, stepped: true, borderWidth: 1.5, pointHitRadius: 8,
          pointRadius: points.length <= POINTS_WITH_DOTS_MAX ? 2.5 : 0,
        }],
      },
      plugins: [MARKER, EDGES],
      options: {
        animation: false,
        parsing: false,
        responsive: true,
        maintainAspectRatio: false,
        interaction: { mode: "nearest", axis: "x", intersect: false },
        onClick: (_, [point]) => point && choose(shown[point.index].x, shown[point.index].version),
        onHover: (event, found) => { event.native.target.style.cursor = found.length ? "pointer" : ""; },
        layout: { padding: 0 },
        plugins: {
          legend: { display: false },
          tooltip: {
            displayColors: false,
            callbacks: {
              title: ([point]) => instant(point.raw.x),
              label: (point) => `${money(point.raw.y, currency)} ${currency}`,
              footer: ([point]) => `version ${point.raw.version.toLocaleString("en")}`,
            },
          },
        },
        scales: {
          x: {
            type: "linear", min: first, max: last, border: { display: false }, grid: { display: false },
            ticks: { maxRotation: 0, maxTicksLimit: 6, display: !isBare, callback: (at) => shortInstant(at, last - first) },
          },
          y: {
            border: { display: false },
            ticks: { maxTicksLimit: isBare ? 4 : 6, precision: 0, callback: (minor) => money(Math.round(minor), currency) },
          },
        },
      },
    });
    this.#paint();
    new MutationObserver(() => this.#paint()).observe(document.documentElement, { attributeFilter: ["class"] });
  }

  // Calls back with the distances of the chart's area from the left and the right, now and whenever they change.
  onEdges(callback) {
    this.chart.edges = callback;
    this.chart.update();
  }

  mark(at) {
    this.chart.marker = at;
    this.chart.draw();
  }

  #paint() {
    const [line] = this.chart.data.datasets;
    const { x, y } = this.chart.options.scales;
    line.borderColor = line.pointBackgroundColor = color(isDark() ? "--color-primary-400" : "--color-primary-600");
    line.backgroundColor = `color-mix(in oklab, ${line.borderColor} 12%, transparent)`;
    this.chart.markerColor = color("--ledger-strong");
    x.ticks.color = y.ticks.color = color(isDark() ? "--color-base-400" : "--color-base-500");
    y.grid.color = color(isDark() ? "--color-base-800" : "--color-base-200");
    this.chart.update();
  }
}

const DAY_US = 86_400_000_000;
const MINUTE_US = 60_000_000;

// As much of an instant as tells the ticks of a span apart.
function shortInstant(at, span) {
  const text = instant(Math.round(at));
  if (span > 3 * DAY_US) return text.slice(0, 10);
  if (span > 10 * MINUTE_US) return text.slice(11, 16);
  return span > 10_000_000 ? text.slice(11, 19) : text.slice(11, 23);
}
