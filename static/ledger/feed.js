// The websocket of live events, for as long as a page is open: connects, reconnects, resumes by position.
//
// It dispatches `events` (detail: envelopes in position order, each once), `status` (detail: the frame) and
// `state` (detail: {name, text}). Names: connecting, live, behind, reconnecting, offline, refused.

const BACKOFF_MS_FIRST = 250;
const BACKOFF_MS_MAX = 15_000;
// The server sends a status each second; a connection silent for this long is dead, whatever the browser thinks.
const SILENCE_MS_MAX = 10_000;
// Nothing changes by asking again with the same parameters or the same session.
const FINAL_CODES = new Set([4400, 4401, 4403]);

export class LedgerFeed extends EventTarget {
  constructor(path, { after = null, filter = {}, only = "" } = {}) {
    super();
    this.path = path;
    this.parameters = { ...filter, only };
    this.isWhole = Object.values(this.parameters).every((value) => !value); // every position must come
    this.position = after;
    this.failures = 0;
    this.socket = null;
    this.timer = null;
    this.watchdog = null;
    this.lastError = "";
  }

  start() {
    window.addEventListener("offline", () => this.#drop("offline", "Offline: this computer has no network"));
    window.addEventListener("online", () => this.connect());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible" && this.timer !== null) this.connect();
    });
    if (navigator.onLine) this.connect();
    else this.#drop("offline", "Offline: this computer has no network");
  }

  connect() {
    this.#forget();
    this.#state("connecting", "Connecting …");
    const socket = new WebSocket(this.#url());
    this.socket = socket;
    socket.onmessage = (message) => this.#receive(JSON.parse(message.data));
    socket.onclose = (close) => this.#closed(close.code);
    this.#expectFrame();
  }

  // Connects anew from a position that has been seen: what has come since comes again.
  resumeAfter(position) {
    this.position = position;
    this.connect();
  }

  #url() {
    const url = new URL(this.path, window.location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    if (this.position !== null) url.searchParams.set("after", String(this.position));
    for (const [name, value] of Object.entries(this.parameters)) if (value) url.searchParams.set(name, value);
    return url;
  }

  #receive(frame) {
    this.#expectFrame();
    if (frame.kind === "error") {
      this.lastError = frame.error;
      return;
    }
    this.failures = 0;
    if (frame.kind === "events") this.#take(frame.events);
    if (frame.kind === "status") {
      // What a filter has passed over need not be looked at again after a cut. A whole feed counts for itself.
      if (!this.isWhole && frame.position !== null) this.position = Math.max(this.position ?? 0, frame.position);
      this.dispatchEvent(new CustomEvent("status", { detail: frame }));
      this.#judge(frame);
    }
  }

  #take(events) {
    const fresh = this.position === null ? events : events.filter((event) => event.position > this.position);
    if (!fresh.length) return;
    if (this.isWhole && this.position !== null && fresh[0].position !== this.position + 1) {
      // The server promises this cannot be; if it is, the journal fills the hole.
      this.resumeAfter(this.position);
      return;
    }
    this.position = fresh.at(-1).position;
    this.dispatchEvent(new CustomEvent("events", { detail: fresh }));
  }

  #judge(status) {
    const place = this.isWhole ? this.position : status.position;
    const behind = place === null ? 0 : status.head_position - place;
    if (status.unavailable.length) {
      this.#state("behind", `Connected, but ${status.unavailable.join(" and ").replaceAll("_", " ")} does not answer`);
    } else if (behind > 0) {
      this.#state("behind", `Catching up: ${behind.toLocaleString("en")} behind`);
    } else {
      this.#state("live", "Live");
    }
  }

  #closed(code) {
    this.#forget();
    if (FINAL_CODES.has(code)) {
      this.#state("refused", this.lastError, { code });
      return;
    }
    const wait = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_FIRST * 2 ** this.failures) * (0.5 + Math.random() / 2);
    this.failures += 1;
    this.timer = window.setTimeout(() => this.connect(), wait);
    const seconds = Math.ceil(wait / 1000);
    this.#state("reconnecting", seconds > 1 ? `Reconnecting in ${seconds} s` : "Reconnecting …");
  }

  #drop(name, text) {
    this.#forget();
    this.#state(name, text);
  }

  #expectFrame() {
    window.clearTimeout(this.watchdog);
    this.watchdog = window.setTimeout(() => {
      this.#forget();
      this.#closed(1006);
    }, SILENCE_MS_MAX);
  }

  #forget() {
    window.clearTimeout(this.timer);
    window.clearTimeout(this.watchdog);
    this.timer = this.watchdog = null;
    if (this.socket === null) return;
    this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.socket = null;
  }

  #state(name, text, more = {}) {
    this.dispatchEvent(new CustomEvent("state", { detail: { name, text, ...more } }));
  }
}
