// Follows a part that changes. Polls {html, stop, announce} or {next}, a page to open, from
// data-live-url, at first every second, then less often, up to every ten seconds. Pauses while the
// tab is hidden. Tells why if it ends early.
import { showCopyButtons } from "./copy.js";

const FIRST_MS = 1_000;
const LAST_MS = 10_000;
const SLOWER = 1.4;
const OVER = {
  redirect: "You’re signed out, so this page has stopped updating.",
  403: "You no longer have access, so this page has stopped updating.",
  404: "This no longer exists.",
};
const OTHERWISE = "This page has stopped updating.";

// Each response has new tokens. The earlier ones still work, so ignore them in comparisons.
const TOKENS = /name="(?:csrf_token|once)" value="[^"]*"/g;
const HOLD_MS = 50;
const LONGEST_HOLD_MS = 5_000;

// A button that is replaced between press and release gets no click.
let pressed = false;
addEventListener("pointerdown", () => { pressed = true; }, true);
["pointerup", "pointercancel"].forEach((each) => addEventListener(each, () => setTimeout(() => { pressed = false; }), true));

async function released() {
  for (let held = 0; pressed && held < LONGEST_HOLD_MS; held += HOLD_MS) {
    await new Promise((go) => { setTimeout(go, HOLD_MS); });
  }
}

// A table allows no other elements between its rows.
const outside = (region) => region.closest("table") ?? region;

function speaker(after) {
  const region = document.createElement("p");
  region.className = "visually-hidden";
  region.setAttribute("role", "status");
  after.after(region);
  return (words) => { if (words && region.textContent !== words) region.textContent = words; };
}

function show(region, html) {
  const words = html.replace(TOKENS, "");
  if (region.dataset.shown === words) return;
  const focused = region.contains(document.activeElement) ? document.activeElement : null;
  const opened = [...region.querySelectorAll("details[open] > summary")].map((each) => each.id);
  const ticked = [...region.querySelectorAll("input:checked")].map((each) => each.value);
  region.innerHTML = html;
  region.querySelectorAll("[type=checkbox]").forEach((box) => { box.checked ||= ticked.includes(box.value); });
  region.dataset.shown = words;
  // Keep open parts open, if their summary has an id.
  opened.forEach((id) => { if (id) document.getElementById(id)?.parentElement.setAttribute("open", ""); });
  showCopyButtons(region);
  if (focused) refocus(region, focused);
}

// If the pressed control is gone, focus the element that shows the state instead.
function refocus(region, focused) {
  if (region.contains(focused)) return;
  const same = focused.id ? document.getElementById(focused.id) : null;
  (same ?? region.querySelector("[data-keeps-focus]"))?.focus({ preventScroll: true });
}

// Keep the old content, because it is the last known state.
function end(region, words) {
  const notice = document.createElement("p");
  notice.className = "notice notice-warning";
  const again = document.createElement("a");
  again.href = location.href;
  again.textContent = "Reload page";
  const text = document.createElement("span");
  text.append(words, " ", again);
  notice.append(text);
  outside(region).before(notice);
}

async function ask(url) {
  const answer = await fetch(url, { headers: { Accept: "application/json" }, redirect: "manual" });
  // Only the sign-in check redirects, so the person is not signed in.
  if (answer.type === "opaqueredirect") return { stop: true, over: OVER.redirect };
  if (answer.status >= 400 && answer.status < 500) return { stop: true, over: OVER[answer.status] ?? OTHERWISE };
  if (!answer.ok) throw new Error(`answered ${answer.status}`);
  return answer.json();
}

export function live(region, first = FIRST_MS) {
  const say = speaker(outside(region));
  let pause = first;
  let timer = 0;
  let asking = false;
  let ended = false;

  async function turn() {
    if (asking || ended || document.hidden) return;
    asking = true;
    try {
      const news = await ask(region.dataset.liveUrl);
      await released();
      if (news.next) location.replace(news.next);
      if (news.html !== undefined) show(region, news.html);
      if (news.over) end(region, news.over);
      say(news.over ?? news.announce);
      ended = Boolean(news.stop || news.next);
    } catch {
      // The portal may be restarting, so poll again later.
    }
    asking = false;
    pause = Math.min(Math.max(pause * SLOWER, FIRST_MS), LAST_MS);
    plan();
  }

  function plan() {
    clearTimeout(timer);
    if (!ended && !document.hidden) timer = setTimeout(turn, pause);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else turn();
  });
  plan();
}
