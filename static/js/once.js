// A second press on the same button does nothing. The server's `once` is what counts; this only
// spares people the wait. Nothing is really disabled: the focus stays, the button's value is sent.

const GIVE_UP_MS = 10_000; // a stopped or failed request leaves the page: let it be sent again

function release(form) {
  delete form.dataset.sent;
  form.querySelectorAll("[aria-disabled]").forEach((button) => button.removeAttribute("aria-disabled"));
}

function hold(form, button) {
  form.dataset.sent = "yes";
  button?.setAttribute("aria-disabled", "true");
  setTimeout(() => release(form), GIVE_UP_MS);
}

export function guardForms(root) {
  root.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-once]") || event.defaultPrevented) return;
    if (form.dataset.sent) event.preventDefault();
    else hold(form, event.submitter);
  });
  // Back from the next page, the browser may show this one as it was left.
  window.addEventListener("pageshow", () => root.querySelectorAll("form[data-sent]").forEach(release));
}
