// Starts an export's download once, and shows how far it is for as long as it is being sent.

import { follow } from "./job.js";

const panel = document.getElementById("export");
const download = document.getElementById("download");
const WORDS = { waiting: "Waiting", running: "Sending …", done: "Complete", failed: "Failed", stopped: "Cut off" };

panel.addEventListener("progress", ({ detail }) => {
  panel.querySelector("[data-word]").textContent = WORDS[detail.state];
  panel.querySelector("[data-of]").textContent = detail.total === null ? "" : ` of ${detail.total.toLocaleString("en")}`;
});

function watch() {
  panel.dataset.job = panel.dataset.follow;
  panel.dataset.stay = "yes";
  follow(panel);
}

download.addEventListener("click", watch);
if (panel.dataset.state === "waiting") download.click();
else if (panel.dataset.state === "running") watch();
