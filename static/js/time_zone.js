// Offers the time zone of the browser where nobody has chosen one yet.

export function offerTimeZone(select) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const known = [...select.options].some((option) => option.value === zone);
  if (!select.value && known) select.value = zone;
}
