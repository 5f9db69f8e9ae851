// A time that is chosen and one that is typed never contradict each other: the last one counts.

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
    // A date that is typed alone, without its time, would not be sent.
    typed.value ||= last;
    typed.focus();
  });
  typed.addEventListener("input", () => { if (typed.value) other.checked = true; });
}
