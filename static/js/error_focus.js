// Moves the focus to the error summary, and from its links to the control itself.

export function focusFirst(root) {
  const summary = root.querySelector("[data-focus-first]");
  if (!summary) return;
  summary.focus();
  summary.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    const control = link && document.getElementById(link.hash.slice(1));
    if (!control) return;
    event.preventDefault();
    (control.closest(".field") ?? control).scrollIntoView({ block: "start" });
    control.focus({ preventScroll: true });
  });
}
