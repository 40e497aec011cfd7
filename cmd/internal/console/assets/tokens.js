// The lives of all tokens.

import { $, fill, h, meta, put, t, times } from './dom.js';
import { draw, oneAtATime, reason, send } from './http.js';
import { nameOf, world } from './world.js';

let all = false; // read more than the first page
let read; // {tokens, more}
let reading;
const renewals = new Map(); // fetches that this page saw, by appid

async function readTokens() {
  const tokens = [];
  let next;
  do {
    const answer = await send('POST', '/_local/invoke/tokens', { task: 'tokens', ...(next ? { next } : {}) });
    $('tokens-failure').hidden = answer.ok;
    $('tokens-failure').textContent = answer.ok ? '' : reason(answer);
    if (!answer.ok) return;
    tokens.push(...answer.json.tokens);
    next = answer.json.next;
  } while (next && all);
  for (const token of tokens) {
    const seen = renewals.get(token.appid) ?? [];
    token.renewals = seen.filter((at) => at !== token.fetched_at);
    if (token.fetched_at && !seen.includes(token.fetched_at)) renewals.set(token.appid, [...seen, token.fetched_at].slice(-20));
    token.name ??= token.appid ? nameOf(token.appid) : '';
    delete token.kind;
  }
  read = { tokens, more: !!next };
  await show();
}

export const loadTokens = oneAtATime(readTokens, 2000);

export async function show() {
  const from = world()?.ticket_from;
  fill($('tickets'), from ? [h('li', {}, h('div', { className: 'what' }, h('strong', {}, t('kind_ticket')), ' ', h('code', {}, 'component_verify_ticket'), h('br'), meta(times('pushed', from))))] : [], '');
  $('tickets').hidden = !from;
  if (!read || reading) return;
  reading = true;
  const html = await draw('tokens', read);
  reading = false;
  if (!html) return;
  put($('tokens-chart'), html);
  const more = $('tokens-chart').querySelector('[data-all]');
  if (more) {
    more.onclick = () => {
      all = true;
      more.disabled = true;
      loadTokens();
    };
  }
}
