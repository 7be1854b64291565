// Shows a page as soon as it is there. unfold hides it until Alpine has started, because only then it is known whether
// it is dark and whether the navigation is folded away: both are in the browser's storage, and so known at once.
// A classic script in the head, or the first paint would not wait for it.
{
  const theme = JSON.parse(localStorage.getItem("_x_adminTheme") ?? '"auto"');
  const isDark = theme === "dark" || (theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.classList.toggle("dark", isDark);
  document.documentElement.toggleAttribute("data-shown", localStorage.getItem("sidebarDesktopOpen") !== "0");
}
