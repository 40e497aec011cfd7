// The group chat of the local run's robots.

import { $, chip, h, t, times } from './dom.js';
import { send } from './http.js';
import { simulatesAWS } from './world.js';

let messages;
let shown = '';

export function show() {
  $('chat-section').hidden = !messages;
  if (!messages) return;
  const list = $('chat');
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.replaceChildren(...(messages.length ? messages.map(({ robot, kind, at, text }) => h('li', {},
    h('div', { className: 'who' }, h('strong', {}, robot), ' ', chip(kind), ' ', h('span', { className: 'meta' }, times('{0}', at))),
    h('div', { className: 'said' }, text))) : [h('li', { className: 'none' }, t('noChat'))]));
  if (atEnd) list.scrollTop = list.scrollHeight;
}

export async function loadChat() {
  if (!simulatesAWS()) return;
  const answer = await send('GET', '/_local/chat');
  if (!answer.ok || !Array.isArray(answer.json) || answer.text === shown) return;
  shown = answer.text;
  messages = answer.json;
  show();
}
