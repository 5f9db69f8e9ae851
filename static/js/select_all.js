// Select all, per group and altogether, with a live counter: "5 of 21 selected".

const boxesIn = (root) => [...root.querySelectorAll("input[type=checkbox][name]")];
const allChosen = (boxes) => boxes.length > 0 && boxes.every((box) => box.checked);

function word(button, chosen) {
  const group = button.dataset.groupName;
  button.textContent = chosen ? "Clear all" : "Select all";
  if (!group) return;
  const rest = document.createElement("span");
  rest.className = "visually-hidden";
  rest.textContent = ` in ${group}`;
  button.append(rest);
}

export function selectAll(root) {
  const count = root.querySelector("[data-count]");
  const toggles = [...root.querySelectorAll("[data-toggle-all], [data-toggle-group]")];
  const scope = (toggle) => boxesIn(toggle.closest("[data-group]") ?? root);

  function refresh() {
    const boxes = boxesIn(root);
    const chosen = boxes.filter((box) => box.checked).length;
    if (count) count.textContent = `${chosen} of ${boxes.length} selected`;
    toggles.forEach((toggle) => word(toggle, allChosen(scope(toggle))));
  }

  function toggle(event) {
    const boxes = scope(event.currentTarget);
    const wanted = !allChosen(boxes);
    boxes.forEach((box) => { box.checked = wanted; });
    refresh();
  }

  toggles.forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", toggle);
  });
  root.addEventListener("change", refresh);
  window.addEventListener("pageshow", refresh);
  refresh();
}
