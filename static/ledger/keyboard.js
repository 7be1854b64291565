// unfold opens its menus by clicks on plain elements. This lets the keyboard, and a screen reader, do the same.

const LABELS = { dock_to_right: "Menu", close: "Close the menu", unfold_more: "Account and theme" };

for (const element of document.querySelectorAll("[x-on\\:click]:not(a[href], button, input, tr, td, label)")) {
  element.tabIndex = 0;
  element.setAttribute("role", "button");
  // What is only an icon is called by what it does, not by the icon's name.
  const label = LABELS[element.textContent.trim()];
  if (label) element.setAttribute("aria-label", label);
  element.addEventListener("keydown", (key) => {
    if (key.target !== element || (key.key !== "Enter" && key.key !== " ")) return;
    key.preventDefault();
    element.click();
  });
}

// Where the skip link leads takes the focus, so that the next Tab goes on from there.
document.getElementById("content")?.setAttribute("tabindex", "-1");
