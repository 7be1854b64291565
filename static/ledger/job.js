// Shows how far jobs are: every element with data-job follows its job's websocket until the job has ended.
//
// Inside: [data-bar] a <progress>, [data-done] the count, [data-share] the percentage, [data-rate] events a second.
// When the job ends the page is loaded again, unless data-stay says that it shows the end by itself.

import { integer } from "./format.js";

const RETRY_MS = 1500;
const ENDED = 4000;
const FINAL_CODES = new Set([ENDED, 4401, 4403]);

function put(element, name, text) {
  const part = element.querySelector(`[data-${name}]`);
  if (part !== null && part.textContent !== text) part.textContent = text;
}

function show(element, job) {
  const bar = element.querySelector("[data-bar]");
  if (bar !== null) {
    if (job.total) {
      bar.max = job.total;
      bar.value = Math.min(job.done, job.total);
    } else if (job.state === "done") {
      bar.max = bar.value = 1;
    }
  }
  put(element, "done", integer(job.done));
  if (job.total) {
    // Not known yet when the page was made, most often: the job was just begun.
    put(element, "of", ` of ${integer(job.total)}`);
    put(element, "share", `· ${Math.min(100, Math.floor((100 * job.done) / job.total))} %`);
  }
  const seconds = ((job.ended_at ? Date.parse(job.ended_at) : Date.now()) - Date.parse(job.started_at)) / 1000;
  if (seconds > 1) put(element, "rate", `· ${integer(Math.round(job.done / seconds))} / s`);
  element.dataset.state = job.state;
  put(element, "error", job.error);
  element.dispatchEvent(new CustomEvent("progress", { detail: job }));
}

export function follow(element) {
  const url = new URL(`/ws/jobs/${element.dataset.job}`, window.location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url);
  socket.onopen = () => { element.dataset.following = "yes"; };
  let last = null;
  socket.onmessage = (message) => {
    const frame = JSON.parse(message.data);
    if (frame.kind === "error") put(element, "error", frame.error);
    if (frame.kind !== "job") return;
    last = frame;
    show(element, frame);
  };
  socket.onclose = (close) => {
    if (close.code === ENDED && last !== null) {
      element.dispatchEvent(new CustomEvent("ended", { detail: last }));
      if (!("stay" in element.dataset)) window.location.reload();
    } else if (!FINAL_CODES.has(close.code)) {
      window.setTimeout(() => follow(element), RETRY_MS);
    }
  };
}

for (const element of document.querySelectorAll("[data-job]")) follow(element);
