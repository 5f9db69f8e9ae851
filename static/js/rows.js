// Adds and removes rows of fields in place. Without scripts, the same buttons ask the server.

const NUMBERED = /__row__/g;

function numberAttributes(element, number) {
  for (const { name, value } of [...element.attributes]) {
    element.setAttribute(name, value.replace(NUMBERED, number).replace("__number__", number + 1));
  }
}

function numberWords(node, number) {
  for (const child of node.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) child.data = child.data.replace("__number__", number + 1);
    else numberWords(child, number);
  }
}

function newRow(template, number) {
  const row = template.content.firstElementChild.cloneNode(true);
  [row, ...row.querySelectorAll("*")].forEach((element) => numberAttributes(element, number));
  numberWords(row, number);
  return row;
}

// The row's number in a control's name: 3 in "headers-3-value".
const numberOf = (control) => Number(/-(\d+)-/.exec(control.name)?.[1] ?? -1);

export function rows(root) {
  const list = root.querySelector("[data-rows-list]");
  const templates = [...root.querySelectorAll("[data-rows-template]")];
  // If rows differ, a choice selects the kind to add.
  const choice = root.querySelector("[data-rows-choice]");
  const add = root.querySelector("[data-rows-add]");
  // The fold around the rows shows their number.
  const counter = root.closest("details")?.querySelector("[data-rows-count]");
  const count = () => {
    if (!counter) return;
    const many = list.children.length;
    const { dataset } = counter;
    const words = many === 1 ? dataset.rowsOne : dataset.rowsMany;
    counter.textContent = many ? `${many} ${words}` : dataset.rowsNone;
  };
  // Numbers only grow. A removed row leaves a gap, which the server accepts.
  let next = 1 + Math.max(-1, ...[...list.querySelectorAll("[name]")].map(numberOf));

  add.addEventListener("click", (event) => {
    event.preventDefault();
    const wanted = templates.find((each) => each.dataset.rowsTemplate === choice?.value);
    const row = newRow(wanted ?? templates[0], next);
    next += 1;
    list.append(row);
    count();
    row.querySelector("input:not([type=hidden]), select, textarea")?.focus();
  });
  list.addEventListener("click", (event) => {
    const button = event.target.closest("[data-rows-remove]");
    if (!button) return;
    event.preventDefault();
    button.closest("[data-row]").remove();
    count();
    add.focus();
  });
}
