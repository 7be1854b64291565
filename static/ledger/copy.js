// Buttons that copy the text of another element: data-copy is its selector.

const COPIED_MS = 1500;

for (const button of document.querySelectorAll("button[data-copy]")) {
  const before = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.querySelector(button.dataset.copy);
    // Browsers give a clipboard to secure origins only; elsewhere the text is selected, ready to be copied.
    if (navigator.clipboard) await navigator.clipboard.writeText(source.textContent);
    else window.getSelection().selectAllChildren(source);
    button.textContent = navigator.clipboard ? "Copied" : "Selected";
    window.setTimeout(() => { button.textContent = before; }, COPIED_MS);
  });
}
