// Small helpers for the document.

export const $ = (selector, within = document) => within.querySelector(selector);

/** Make an element with properties and children. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Set a text only if it differs, since each change costs a layout. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Show a text in an element, or hide it if there is none. */
export function show(target, text) {
  setText(target, text ?? "");
  target.hidden = !text;
}
