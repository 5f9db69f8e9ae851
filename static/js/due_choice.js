// A time that is chosen and one that is typed never contradict each other: the last one counts.

export function dueChoice(pills) {
  const typed = pills.parentElement.querySelector("input[type=datetime-local]");
  const other = pills.querySelector("input[value=other]");
  pills.addEventListener("change", () => {
    if (other.checked) typed.focus();
    else typed.value = "";
  });
  typed.addEventListener("input", () => { if (typed.value) other.checked = true; });
}
