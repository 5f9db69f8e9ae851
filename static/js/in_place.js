// Sends a form that changes one row, or one part of a page, without leaving the page, and follows
// the result there. If that is not possible, the browser submits the form.
import { live } from "./live.js";

async function send(form) {
  const answer = await fetch(form.action, {
    method: "POST",
    body: new URLSearchParams(new FormData(form)),
    headers: { Accept: "application/json" },
    redirect: "manual",
  });
  return answer.ok ? answer.json() : {};
}

function follow(region, { live: url, place }) {
  history.replaceState(null, "", place); // a reload shows the same page
  region.dataset.liveUrl = url;
  live(region, 0);
}

export function inPlace(root) {
  root.addEventListener("submit", async (event) => {
    const form = event.target;
    const region = form.matches("[data-in-place]") ? form.closest("[data-region]") : null;
    if (!region || event.defaultPrevented) return;
    event.preventDefault();
    const news = await send(form).catch(() => ({}));
    if (news.live) follow(region, news);
    else if (news.go) {
      history.replaceState(null, "", news.go);
      location.reload();
    } else form.submit();
  });
}
