// The history of drafts: lanes of mini programs, and a timeline.

import { $, h, put, t } from './dom.js';
import { draw, load, oneAtATime } from './http.js';

const first = 50;
const sources = new Map(); // names of the mini programs that were seen, by appid
let limit = first;
let list;

export const loadHistory = oneAtATime(async () => {
  const source = $('history-source').value;
  list = await load('history', `/drafts/history?limit=${limit}${source ? `&source_miniprogram_appid=${encodeURIComponent(source)}` : ''}`) ?? list;
  for (const { draft } of list?.drafts ?? []) {
    if (draft.source_miniprogram_appid && !sources.has(draft.source_miniprogram_appid)) sources.set(draft.source_miniprogram_appid, draft.source_miniprogram || draft.source_miniprogram_appid);
  }
  await show();
}, 500);

export async function show() {
  const chosen = $('history-source').value;
  $('history-source').replaceChildren(h('option', { value: '' }, t('historyAll')), ...[...sources].map(([appid, name]) => h('option', { value: appid }, name === appid ? name : `${name} (${appid})`)));
  $('history-source').value = chosen;
  if (!list) return;
  const html = await draw('history', { drafts: list.drafts, more: !!list.next && limit < 1000 });
  if (!html) return;
  put($('history'), html);
  $('history').querySelector('[data-more]')?.addEventListener('click', () => {
    limit = Math.min(1000, limit * 4);
    loadHistory();
  });
}

$('history-source').onchange = () => {
  limit = first;
  loadHistory();
};
