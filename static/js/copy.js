// Shows copy buttons only where copying works.

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const label = button.querySelector("span");
  const before = label.textContent;
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    label.textContent = "Copied";
  } catch {
    window.getSelection().selectAllChildren(source);
    label.textContent = "Press Ctrl+C to copy";
  }
  setTimeout(() => { label.textContent = before; }, 3000);
}

export function showCopyButtons(root) {
  root.querySelectorAll("[data-copy]").forEach((button) => { button.hidden = false; });
}

export function copyButtons(root) {
  showCopyButtons(root);
  root.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });
}
