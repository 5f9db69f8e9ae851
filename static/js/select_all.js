// Selects all, per group and in total, with a live counter: "5 of 21 selected". Actions on selected
// rows appear with the first one.

const boxesIn = (root) => [...root.querySelectorAll("input[type=checkbox][name]:not([data-uncounted])")];
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
  const bar = root.querySelector("[data-selection]");
  const clear = root.querySelector("[data-clear]");
  const allBox = root.querySelector("[data-all-box]");
  const toggles = [...root.querySelectorAll("[data-toggle-all], [data-toggle-group]")];
  const scope = (toggle) => boxesIn(toggle.closest("[data-group]") ?? root);

  function refresh() {
    const boxes = boxesIn(root);
    const chosen = boxes.filter((box) => box.checked).length;
    if (count) count.textContent = `${chosen} of ${boxes.length} selected`;
    root.querySelectorAll("[data-group]").forEach((group) => {
      const own = boxesIn(group);
      const text = `${own.filter((box) => box.checked).length} of ${own.length}`;
      group.querySelector("[data-group-count]")?.replaceChildren(text);
    });
    if (bar) bar.hidden = chosen === 0;
    if (allBox) allBox.checked = allChosen(boxes);
    if (allBox) allBox.indeterminate = chosen > 0 && !allBox.checked;
    toggles.forEach((toggle) => word(toggle, allChosen(scope(toggle))));
  }

  function set(boxes, wanted) {
    boxes.forEach((box) => { box.checked = wanted; });
    refresh();
  }

  function toggle(event) {
    const boxes = scope(event.currentTarget);
    set(boxes, !allChosen(boxes));
  }

  toggles.forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", toggle);
  });
  if (bar) bar.classList.add("is-floating");
  if (clear) clear.hidden = false;
  clear?.addEventListener("click", () => {
    set(boxesIn(root), false);
    boxesIn(root)[0]?.focus();
  });
  if (allBox) allBox.hidden = false;
  allBox?.addEventListener("change", () => set(boxesIn(root), allBox.checked));
  root.addEventListener("change", refresh);
  window.addEventListener("pageshow", refresh);
  refresh();
}
