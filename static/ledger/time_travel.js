// Time travel: the slider, the keys and the player. The server renders every step; this asks for it and puts it in
// place, so that what is shown is the same whether the page was loaded or stepped through.

import { BalanceChart } from "./balance_chart.js";
import { instant } from "./instants.js";

const KNOB_PX = 16;
const known = JSON.parse(document.getElementById("chart").textContent);
const slot = document.getElementById("travel-step");
const slider = document.getElementById("travel-slider");
const field = document.getElementById("travel-at");
const form = document.getElementById("travel-form");
const error = document.getElementById("travel-error");
const said = document.getElementById("travel-said");
const play = document.getElementById("travel-play");
const speed = document.getElementById("travel-speed");

let step = read();
let asked = null; // the fetch that is on its way
let next = null; // what to fetch after it; only the newest is worth it
let aim = step.version; // where the fetches lead, so that keys pressed meanwhile count from there
let timer = null;

for (const element of document.querySelectorAll("[data-needs-script]")) element.hidden = false;
const chart = new BalanceChart(document.getElementById("balance-chart"), known, {
  first: known.first,
  last: known.last,
  choose: (at, version) => go({ version }),
  isBare: true,
});
// A slider's knob goes from edge to edge with half its width inside; so it stands below what it points to.
chart.onEdges((left, right) => {
  slider.style.marginLeft = `${left - KNOB_PX / 2}px`;
  slider.style.width = `calc(100% - ${left + right - KNOB_PX}px)`;
});
show();

function read() {
  const { at, atUs, firstUs, lastUs, version, versions } = slot.querySelector("[data-step]").dataset;
  const numbers = Object.entries({ atUs, firstUs, lastUs, version, versions }).map(([name, text]) => [name, Number(text)]);
  return { at, ...Object.fromEntries(numbers) };
}

// Brings everything around the step to where the step is.
function show() {
  slider.max = step.lastUs - step.firstUs;
  if (document.activeElement !== slider || next === null) slider.value = step.atUs - step.firstUs;
  slider.setAttribute("aria-valuetext", step.at);
  field.value = step.at;
  error.hidden = true;
  chart.mark(step.atUs);
}

// Asks for a step. While one is on its way only the newest wish is kept, so a slider cannot queue up requests.
function go(parameters) {
  aim = parameters.version ?? aim;
  if (asked !== null) {
    next = parameters;
    return asked;
  }
  asked = fetchStep(parameters).finally(() => {
    asked = null;
    if (next === null) return;
    const wanted = next;
    next = null;
    go(wanted);
  });
  return asked;
}

async function fetchStep(parameters) {
  const query = new URLSearchParams(parameters);
  let answer;
  try {
    answer = await fetch(`${known.travel}?${query}&part=step`, { headers: { Accept: "text/html" } });
  } catch {
    fail("The server cannot be reached. What is shown is the step before.");
    return;
  }
  if (!answer.ok || answer.redirected) {
    fail(await reason(answer));
    return;
  }
  slot.innerHTML = await answer.text();
  step = read();
  if (next === null) aim = step.version;
  show();
  window.history.replaceState(null, "", `${known.travel}?${query}`);
  said.textContent = slot.querySelector("[data-said]").textContent;
}

async function reason(answer) {
  if (answer.redirected) return "The session has ended: load the page again to sign in.";
  if (answer.status === 400) return answer.text();
  return `The server answered ${answer.status}. What is shown is the step before.`;
}

function fail(text) {
  aim = step.version;
  stop();
  error.textContent = text;
  error.hidden = false;
}

function goTo(place) {
  const version = { first: 1, back: aim - 1, forward: aim + 1, last: step.versions }[place];
  if (version < 0 || version > step.versions || version === aim) return Promise.resolve();
  return go({ version });
}

function stop() {
  window.clearTimeout(timer);
  timer = null;
  label();
}

async function playOn() {
  const started = performance.now();
  await goTo("forward");
  if (timer === null) return;
  if (step.version >= step.versions) {
    stop();
    return;
  }
  timer = window.setTimeout(playOn, Math.max(0, 1000 / Number(speed.value) - (performance.now() - started)));
}

function togglePlay() {
  if (timer !== null) {
    stop();
    return;
  }
  timer = window.setTimeout(async () => {
    if (step.version >= step.versions) await goTo("first"); // from the end it begins again
    playOn();
  }, 0);
  label();
}

function label() {
  const isPlaying = timer !== null;
  play.setAttribute("aria-pressed", String(isPlaying));
  play.querySelector("[data-icon]").textContent = isPlaying ? "stop" : "play_arrow";
  play.querySelector("[data-text]").textContent = isPlaying ? "Stop" : "Play";
}

slider.addEventListener("input", () => {
  const at = instant(step.firstUs + Number(slider.value));
  field.value = at;
  slider.setAttribute("aria-valuetext", at);
  chart.mark(step.firstUs + Number(slider.value));
  go({ at });
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  go({ at: field.value });
});
slot.addEventListener("click", (event) => {
  const link = event.target.closest("[data-go]");
  if (link === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const place = link.dataset.go;
  // The link that was pressed is replaced with the step; whoever pressed it by key presses the new one next.
  goTo(place).then(() => slot.querySelector(`[data-go=${place}]`).focus({ preventScroll: true }));
});
play.addEventListener("click", togglePlay);

const PLACE_BY_KEY = { ArrowLeft: "back", ArrowRight: "forward", Home: "first", End: "last" };
// A slider's own keys, which elsewhere scroll the page.
const PLACE_BY_SLIDER_KEY = { ...PLACE_BY_KEY, ArrowDown: "back", ArrowUp: "forward" };

document.addEventListener("keydown", (key) => {
  if (key.ctrlKey || key.metaKey || key.altKey || key.shiftKey) return;
  const isOnSlider = key.target === slider;
  if (!isOnSlider && key.target.closest?.("input, select, textarea, [contenteditable], [role=region]")) return;
  if (key.key === " " && !key.target.closest?.("button, a, [role=button]")) {
    key.preventDefault();
    togglePlay();
    return;
  }
  const place = (isOnSlider ? PLACE_BY_SLIDER_KEY : PLACE_BY_KEY)[key.key];
  if (place === undefined) return;
  key.preventDefault();
  goTo(place);
});
