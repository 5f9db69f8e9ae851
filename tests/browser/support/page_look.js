// What accessibility.py asks of a page in which axe is at hand.
window.pageLook = (() => {
  "use strict";
  const TARGET = "a, button, input, select, summary, textarea";
  const LEAST = 24; // pixels that a target is high and wide, or else away from others
  const every = () => [...document.querySelectorAll("body *")];

  // Of what a page does right nothing is told: to put that into words takes as long as to look.
  const run = async (where, only, leftOut) => {
    const rules = Object.fromEntries(leftOut.map((rule) => [rule, { enabled: false }]));
    const options = { runOnly: only, rules, resultTypes: ["violations"], selectors: false };
    return (await axe.run(where, options)).violations;
  };

  const mix = (number, word) => {
    for (let at = 0; at < word.length; at++) {
      number = Math.imul(number ^ word.charCodeAt(at), 0x01000193);
    }
    return number;
  };

  const isSmaller = (element, least) => {
    const box = element.getBoundingClientRect();
    return box.width < least || box.height < least;
  };

  // Whether the space that a small target should have is another one's, or is to be shared.
  const isCrowded = (element) => {
    const middle = (box) => [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
    const [x, y] = middle(element.getBoundingClientRect());
    return [...document.querySelectorAll(TARGET)].some((other) => {
      const box = other.getBoundingClientRect();
      if (other === element || !box.width) return false;
      const [otherX, otherY] = middle(box);
      const across = Math.max(box.left - x, x - box.right, 0);
      const away = Math.hypot(across, Math.max(box.top - y, y - box.bottom, 0));
      const apart = Math.hypot(otherX - x, otherY - y);
      return away < LEAST / 2 || (isSmaller(other, LEAST) && apart < LEAST);
    });
  };

  const isDisabled = (element) =>
    element.matches(":disabled, [aria-disabled=true]") || Boolean(element.control?.disabled);

  // For each element a number for all that says whether it can be read and met: its colours, those
  // that it stands on, the size of its letters; where it is small or lies upon others, its place
  // too. And the position of the one around it.
  const kinds = () => {
    const frame = [document.documentElement, document.body].map(
      (each) => getComputedStyle(each).backgroundColor,
    );
    const seen = new Map([[document.body, { at: -1, ground: mix(7, frame.join()), place: 7 }]]);
    return every().map((element, at) => {
      const parent = element.parentElement;
      const around = seen.get(parent);
      const style = getComputedStyle(element);
      const place = mix(around.place, `${element.tagName} ${element.getAttribute("class")}`);
      // Words for those who listen alone lie there as well, in one point.
      const lies = !["static", "relative"].includes(style.position) && !isSmaller(element, 2);
      const changes = [
        style.backgroundColor === "rgba(0, 0, 0, 0)" ? "" : style.backgroundColor,
        style.backgroundImage === "none" ? "" : style.backgroundImage,
        style.opacity === "1" ? "" : style.opacity,
        lies ? place : "",
        element.inert ? "inert" : "", // axe does not look at it
      ].join("");
      const ground = changes ? mix(around.ground, changes) : around.ground;
      seen.set(element, { at, ground, place });
      if (!element.checkVisibility()) return [0, around.at];
      const hasText =
        element.matches("input, select, textarea") ||
        [...element.childNodes].some(
          (node) => node.nodeType === Node.TEXT_NODE && node.data.trim(),
        );
      // A link has to be told from the text in which it stands.
      const isAmongText =
        element.tagName === "A" && parent.textContent.trim() !== element.textContent.trim();
      const own = [
        isDisabled(element),
        hasText && [style.color, style.fontSize, style.fontWeight, style.textShadow],
        element.placeholder && getComputedStyle(element, "::placeholder").color,
        isAmongText && [style.textDecorationLine, style.borderBottomStyle, style.borderBottomWidth],
        element.matches(TARGET) && isSmaller(element, LEAST) && [place, isCrowded(element)],
      ];
      return [mix(ground, own.join()), around.at];
    });
  };

  const beyondTheEdge = () => {
    const edge = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= edge) return [];
    return every()
      .filter((element) => element.getBoundingClientRect().right > edge + 1)
      .slice(0, 5)
      .map((element) => `<${element.tagName} class="${element.getAttribute("class")}">`);
  };

  return {
    whole: async (only, leftOut) => ({
      violations: await run(document, only, leftOut),
      kinds: kinds(),
      beyond: beyondTheEdge(),
    }),
    places: async (only, places) => {
      const elements = every();
      return await run({ include: places.map((place) => elements[place]) }, only, []);
    },
  };
})();
