// Says plainly how the connection is: one element with a dot, a word, and a way in when the session has ended.

export function showConnection(feed, element) {
  const text = element.querySelector("[data-text]");
  feed.addEventListener("state", ({ detail }) => {
    element.dataset.state = detail.name;
    if (text.textContent !== detail.text) text.textContent = detail.text;
    if (detail.code === 4401) text.append(" ", signIn());
  });
}

function signIn() {
  const link = document.createElement("a");
  link.href = window.location.href;
  link.textContent = "Sign in again";
  link.className = "ledger-link";
  return link;
}
