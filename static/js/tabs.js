// On a telephone tabs are moved sideways: the open one is moved to where it is seen.

export function showOpenTab(list) {
  const open = list.querySelector("[aria-current]");
  if (!open || list.scrollWidth <= list.clientWidth) return;
  const tab = open.getBoundingClientRect();
  const around = list.getBoundingClientRect();
  list.scrollLeft += tab.left + tab.width / 2 - around.left - around.width / 2;
}
