// A line of the last two minutes, one point a second, drawn with the Chart.js that unfold brings.

/* global Chart */

const POINTS = 121; // now, and the 120 seconds before

export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function isDark() {
  return document.documentElement.classList.contains("dark");
}

export class History {
  constructor(canvas, unit) {
    this.values = new Array(POINTS).fill(null);
    this.chart = new Chart(canvas, {
      type: "line",
      data: {
        labels: this.values.map((_, index) => POINTS - 1 - index),
        datasets: [{ data: this.values, fill: true, borderWidth: 1.5, pointRadius: 0, pointHitRadius: 8, tension: 0.25 }],
      },
      options: {
        animation: false,
        responsive: true,
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        plugins: {
          legend: { display: false },
          tooltip: {
            displayColors: false,
            callbacks: {
              title: ([point]) => (point.label === "0" ? "now" : `${point.label} s ago`),
              label: (point) => `${point.formattedValue} ${unit}`,
            },
          },
        },
        scales: {
          x: {
            border: { display: false },
            grid: { display: false },
            ticks: {
              autoSkip: false, maxRotation: 0,
              callback(_, index) {
                const age = POINTS - 1 - index;
                if (age === 0) return "now";
                return age % 30 === 0 ? `−${age} s` : null;
              },
            },
          },
          y: { beginAtZero: true, suggestedMax: 5, border: { display: false }, ticks: { maxTicksLimit: 5, precision: 0 } },
        },
      },
    });
    this.#paint();
    new MutationObserver(() => this.#paint()).observe(document.documentElement, { attributeFilter: ["class"] });
  }

  // Puts known values, oldest first, at the end of the line.
  fill(known) {
    for (const value of known) this.#push(value);
    this.chart.update();
  }

  add(value) {
    this.#push(Math.round(value * 10) / 10);
    this.chart.update();
  }

  #push(value) {
    this.values.push(value);
    this.values.shift();
  }

  #paint() {
    const [line] = this.chart.data.datasets;
    const { x, y } = this.chart.options.scales;
    line.borderColor = color(isDark() ? "--color-primary-400" : "--color-primary-600");
    line.backgroundColor = `color-mix(in oklab, ${line.borderColor} 12%, transparent)`;
    x.ticks.color = y.ticks.color = color(isDark() ? "--color-base-400" : "--color-base-500");
    y.grid.color = color(isDark() ? "--color-base-800" : "--color-base-200");
    this.chart.update();
  }
}
