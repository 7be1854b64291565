// Adds lines to a side of a transfer with several accounts. Without it the form still has one empty line more than
// are filled in.

for (const side of document.querySelectorAll("[data-side]")) {
  const add = side.querySelector("[data-add]");
  const lines = () => side.querySelectorAll("[data-line]");
  const rest = () => { add.hidden = lines().length >= Number(side.dataset.linesMax); };

  add.addEventListener("click", () => {
    const last = [...lines()].at(-1);
    const line = last.cloneNode(true);
    for (const error of line.querySelectorAll(".ledger-field-error")) error.remove();
    for (const input of line.querySelectorAll("input")) {
      input.value = "";
      input.removeAttribute("aria-invalid");
      input.removeAttribute("aria-describedby");
      input.setAttribute("aria-label", input.getAttribute("aria-label").replace(/\d+/, String(lines().length + 1)));
    }
    last.after(line);
    line.querySelector("input").focus();
    rest();
  });
  rest();
}
