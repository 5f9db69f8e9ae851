// Offers the browser's time zone if none is chosen yet.

export function offerTimeZone(select) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const known = [...select.options].some((option) => option.value === zone);
  if (!select.value && known) select.value = zone;
}
