// Elements and text. Whatever comes from the network becomes text here and nowhere else, never markup.

const SVG = "http://www.w3.org/2000/svg";

// Control characters, and those that reorder or hide text (Unicode TR36, Bidi_Control and zero width).
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** Text in which nothing is invisible. */
export function visible(text) {
  return String(text).replace(UNSEEN, (unseen) => `\\u{${unseen.charCodeAt(0).toString(16)}}`);
}

/** A text of at most `length` characters: what is too long loses its middle. */
export function shortened(text, length) {
  const shown = visible(text);
  if (shown.length <= length) return shown;
  const head = Math.ceil((length - 1) * 0.6);
  return `${shown.slice(0, head)}…${shown.slice(shown.length - (length - 1 - head))}`;
}

/** An HTML element; children are elements, or become text. What is null or false is left out. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** Put new children into an element in place of its old ones. */
export function refill(element, ...children) {
  element.replaceChildren(...nodes(children));
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false && value !== undefined) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...nodes(children));
  return element;
}

function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false && child !== "")
    .map((child) => (child instanceof Node ? child : document.createTextNode(visible(child))));
}
