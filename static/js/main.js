// Each behavior is a module that finds its elements by data attributes. Pages work without scripts.
import { focusFirst } from "./error_focus.js";
import { guardForms } from "./once.js";
import { selectAll } from "./select_all.js";
import { rows } from "./rows.js";
import { copyButtons } from "./copy.js";
import { live } from "./live.js";
import { inPlace } from "./in_place.js";
import { menus } from "./menu.js";
import { showOpenTab } from "./tabs.js";
import { dueChoice } from "./due_choice.js";
import { offerTimeZone } from "./time_zone.js";

focusFirst(document);
guardForms(document);
inPlace(document);
document.querySelectorAll("[data-select-all]").forEach(selectAll);
document.querySelectorAll("[data-rows]").forEach(rows);
copyButtons(document);
document.querySelectorAll("[data-live-url]").forEach((region) => live(region));
document.querySelectorAll("[data-menu]").forEach(menus);
document.querySelectorAll("[data-tabs]").forEach(showOpenTab);
document.querySelectorAll("[data-due]").forEach(dueChoice);
document.querySelectorAll("[data-time-zone]").forEach(offerTimeZone);
