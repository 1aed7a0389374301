// SPDX-License-Identifier: GPL-2.0-only
// Facts about the page that only a browser knows. Returns one object.
const channels = (text) => {
  const parts = text.match(/[\d.]+/g).map(Number);
  return { rgb: parts.slice(0, 3), alpha: parts.length > 3 ? parts[3] : 1 };
};
const luminance = (rgb) => {
  const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const colour = channels(getComputedStyle(e).backgroundColor);
    if (colour.alpha === 1) return colour.rgb;
  }
  return [255, 255, 255];
};
const contrast = (front, back) => {
  const [low, high] = [luminance(front), luminance(back)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};
const frontOf = (element) => {
  const style = getComputedStyle(element);
  return channels(element instanceof SVGElement ? style.fill : style.color).rgb;
};
const hasText = (element) => [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
const texts = [...document.querySelectorAll("body *")].filter((e) => hasText(e) && e.checkVisibility());
const pale = texts
  .map((e) => ({ what: `${e.tagName} ${e.getAttribute("class")} ${e.textContent.trim().slice(0, 30)}`,
                 ratio: contrast(frontOf(e), behind(e)) }))
  .filter((t) => t.ratio < 4.5);
const strokes = ["held", "charged", "gone", "line-2", "limit"].map((name) => {
  const path = document.querySelector(`figure > .curve .${name} path`);
  return [name, contrast(channels(getComputedStyle(path).stroke).rgb, behind(path))];
});
return {
  checked: texts.length,
  svgTexts: texts.filter((e) => e.tagName === "text").length,
  pale,
  strokes: Object.fromEntries(strokes),
  width: document.documentElement.scrollWidth,
  page: getComputedStyle(document.body).backgroundColor,
  ink: getComputedStyle(document.body).color,
  held: getComputedStyle(document.querySelector("figure > .curve .held path")).stroke,
  smallest: Math.min(...texts.filter((e) => e.tagName === "text").map((e) => e.getBoundingClientRect().height)),
};
