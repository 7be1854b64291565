// A form that does something is sent once: its buttons rest after the first click. The key inside it holds
// even where this does not run.

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (submit) => {
    if (form.dataset.sent) {
      submit.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    for (const button of form.querySelectorAll("button[type=submit]")) button.setAttribute("aria-disabled", "true");
  });
}
// A page that the browser kept as it was left is usable again.
window.addEventListener("pageshow", ({ persisted }) => {
  if (!persisted) return;
  for (const form of document.querySelectorAll("form[data-once]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("button[type=submit]")) button.removeAttribute("aria-disabled");
  }
});
