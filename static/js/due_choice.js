// Keeps a chosen time and a typed one from contradicting each other. The last one wins.

export function dueChoice(pills) {
  const typed = pills.parentElement.querySelector("input[type=datetime-local]");
  const other = pills.querySelector("input[value=other]");
  const chosen = () => pills.querySelector("input:checked:not([value=other])")?.value ?? "";
  let last = chosen();
  pills.addEventListener("change", () => {
    if (!other.checked) {
      last = chosen();
      typed.value = "";
      return;
    }
    // A date without a time would not be sent, so fill in both.
    typed.value ||= last;
    typed.focus();
  });
  typed.addEventListener("input", () => { if (typed.value) other.checked = true; });
}
