// Ignores a second click on the same button. Only the server's `once` is reliable. This just saves
// people the wait. The button is not disabled, so it keeps the focus and its value is sent.

const GIVE_UP_MS = 10_000; // if a request fails or is stopped, the page stays, so allow a retry

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
  // After Back, the browser can show this page as it was left.
  window.addEventListener("pageshow", () => root.querySelectorAll("form[data-sent]").forEach(release));
}
