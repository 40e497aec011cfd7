// The group chat of the local run's robots.

import { $, chip, h, t, times } from './dom.js';
import { send } from './http.js';
import { simulatesAWS } from './world.js';

let messages; // oldest first
let shown = '';

export function show() {
  $('chat-section').hidden = !messages;
  if (!messages) return;
  const chosen = $('chat-robot').value;
  const robots = [...new Set(messages.map(({ robot }) => robot))].toSorted();
  $('chat-robot').replaceChildren(h('option', { value: '' }, t('chatAll')), ...robots.map((robot) => h('option', { value: robot }, robot)));
  $('chat-robot').value = robots.includes(chosen) ? chosen : '';
  const seen = messages.filter(({ robot }) => !$('chat-robot').value || robot === $('chat-robot').value);
  const list = $('chat');
  const log = $('chat-log');
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  list.replaceChildren(...(seen.length ? seen.map(({ robot, kind, at, text }) => h('li', {},
    h('div', {}, h('strong', {}, robot), ' ', robot === kind ? '' : chip(kind), ' ', h('span', { className: 'meta' }, times('{0}', at))),
    h('div', { className: 'said' }, text))) : [h('li', { className: 'none' }, t('noChat'))]));
  if (atEnd) log.scrollTop = log.scrollHeight;
}
$('chat-robot').onchange = show;

export async function loadChat() {
  if (!simulatesAWS()) return;
  const answer = await send('GET', '/_local/chat');
  if (!answer.ok || answer.text === shown) return;
  shown = answer.text;
  messages = answer.json.messages.toReversed();
  show();
}
