// Scrolls tabs sideways on a phone, so that the current one is visible.

export function showOpenTab(list) {
  const open = list.querySelector("[aria-current]");
  if (!open || list.scrollWidth <= list.clientWidth) return;
  const tab = open.getBoundingClientRect();
  const around = list.getBoundingClientRect();
  list.scrollLeft += tab.left + tab.width / 2 - around.left - around.width / 2;
}
