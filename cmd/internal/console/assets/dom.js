// Language, and how elements are made. Texts of drafts, accounts and chats are anybody's: they reach the page as text only.

import { words } from './words.js';

export const $ = (id) => document.getElementById(id);

let language = localStorage.getItem('language') ?? (navigator.language.startsWith('zh') ? 'zh' : 'en');
export const speaks = () => language;
export const locale = () => (language === 'zh' ? 'zh-CN' : 'en');
export const t = (key, ...values) => values.reduce((text, value, at) => text.replace(`{${at}}`, () => value), words[language][key] ?? key);
export const inLanguage = (which, key) => words[which][key];

// speak puts all fixed texts into a language.
export function speak(chosen) {
  language = chosen;
  localStorage.setItem('language', chosen);
  document.documentElement.lang = locale();
  document.querySelectorAll('[data-t]').forEach((element) => { element.textContent = t(element.dataset.t); });
  document.querySelectorAll('[data-t-label]').forEach((element) => { element.ariaLabel = t(element.dataset.tLabel); });
  document.querySelectorAll('[data-language]').forEach((b) => { b.ariaPressed = b.dataset.language === chosen; });
}

// h makes an element; what is no element among its children becomes text.
export function h(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== undefined && child !== ''));
  return element;
}

export const chip = (text, tone) => h('span', { className: `chip ${tone ?? ''}` }, text);

export const button = (text, label, onclick) => {
  const b = h('button', { type: 'button' }, text);
  if (label) b.ariaLabel = label;
  b.onclick = async () => { // once until it is done
    b.disabled = true;
    try { await onclick(); } finally { b.disabled = false; }
  };
  return b;
};

// actions are a row's buttons, which stay together in a narrow window.
export const actions = (...buttons) => h('div', { className: 'actions' }, ...buttons);
export const meta = (...parts) => h('span', { className: 'meta' }, ...parts.filter((p) => p !== undefined && p !== '').flatMap((p, at) => (at ? [' · ', p] : [p])));

// ago says how far a moment is, in words that change as time goes by, and its date when it is long ago.
function ago(at) {
  const seconds = (new Date(at) - Date.now()) / 1000;
  if (seconds < -30 * 86400) return new Date(at).toLocaleDateString(locale(), { dateStyle: 'medium' });
  const [unit, length] = [['day', 86400], ['hour', 3600], ['minute', 60]].find(([, length]) => Math.abs(seconds) >= 2 * length) ?? ['second', 1];
  return new Intl.RelativeTimeFormat(locale(), { numeric: 'auto' }).format(Math.trunc(seconds / length), unit);
}

// tick makes a time element say how far its moment is, from now on.
function tick(element, pattern) {
  element.title = new Date(element.dateTime).toLocaleString(locale());
  element.say = () => { element.textContent = t(typeof pattern === 'function' ? pattern() : pattern, ago(element.dateTime)); };
  element.say();
  return element;
}
export const times = (pattern, at) => tick(h('time', { dateTime: at }), pattern);
setInterval(() => document.querySelectorAll('time').forEach((element) => element.say?.()), 1000);

// fill puts rows into a list, marks the new ones, and keeps the focus on the button that had it.
export function fill(list, entries, empty) {
  const known = new Set([...list.children].map((row) => row.id));
  const focused = list.contains(document.activeElement) ? document.activeElement.ariaLabel : undefined;
  for (const row of entries) if (known.size && row.id && !known.has(row.id)) row.classList.add('new');
  list.replaceChildren(...(entries.length ? entries : [h('li', { className: 'none' }, empty)]));
  if (focused) [...list.querySelectorAll('button')].find((b) => b.ariaLabel === focused)?.focus();
}

// put replaces an element's content by HTML that the server drew, in which all people's text is escaped.
export function put(element, html) {
  const drawn = new DOMParser().parseFromString(html, 'text/html').body;
  const opened = [...element.querySelectorAll('details')].map((d) => d.open);
  const focus = element.contains(document.activeElement) ? [...element.querySelectorAll('button, summary, [tabindex]')].indexOf(document.activeElement) : -1;
  drawn.querySelectorAll('time').forEach((time) => tick(time, '{0}'));
  element.replaceChildren(...drawn.childNodes);
  element.querySelectorAll('details').forEach((d, at) => { d.open = opened[at] ?? false; });
  if (focus >= 0) element.querySelectorAll('button, summary, [tabindex]')[focus]?.focus();
}

// ask shows a dialog and waits for the value of the button that closed it; Escape is an empty one.
export const ask = (dialog) => new Promise((resolve) => {
  dialog.returnValue = '';
  dialog.onclose = () => resolve(dialog.returnValue);
  dialog.showModal();
});
