// The draft box, and its uploads by the simulated WeChat.

import { $, actions, button, fill, h, inLanguage, meta, speaks, t, times } from './dom.js';
import { load, send, tell } from './http.js';
import { simulatesWeChat, world } from './world.js';
import * as history from './history.js';
import * as templates from './templates.js';

let list;

export const upload = (u, id) => h('div', { className: 'what' },
  h('strong', {}, `${u.user_version ?? ''} `), h('span', { className: 'text' }, u.user_desc ?? ''), h('br'),
  meta(`#${id}`, u.source_miniprogram, h('code', {}, u.source_miniprogram_appid ?? ''), u.developer, u.created_at && times('{0}', u.created_at)));

export function show() {
  $('uploading').hidden = !simulatesWeChat();
  if (!list) return;
  $('drafts-count').textContent = list.count;
  fill($('drafts'), list.drafts.map((draft) => h('li', { id: `draft-${draft.draft_id}` }, upload(draft, draft.draft_id),
    actions(button(t('promote'), t('promoteLabel', draft.draft_id), () => promote(draft.draft_id)),
      simulatesWeChat() ? button(t('delete'), t('removeLabel', draft.draft_id), () => takeOut(draft.draft_id)) : ''))), t('noDrafts'));
}

// loadDrafts asks again while the list is older than what the simulated WeChat holds: a fresh list is three seconds old at most.
let late;
export async function loadDrafts(tries = 5) {
  clearTimeout(late);
  list = await load('drafts', `/drafts${simulatesWeChat() ? '?fresh=true' : ''}`) ?? list;
  show();
  const ids = (all) => all.toSorted((a, b) => a - b).join();
  if (tries && list && simulatesWeChat() && ids(list.drafts.map((draft) => draft.draft_id)) !== ids(world().drafts)) late = setTimeout(() => loadDrafts(tries - 1), 1000);
}

async function promote(id) {
  const answer = await send('POST', `/drafts/${id}/template`);
  tell(answer, answer.ok ? t('promoted', answer.json.template_id) : '');
  await Promise.all([templates.loadTemplates(), history.loadHistory(), answer.ok ? undefined : loadDrafts()]);
}

// takeOut deletes a draft on WeChat's side: the API has no such call, for WeChat has none.
async function takeOut(id) {
  const answer = await send('DELETE', `/_sim/drafts/${id}`);
  tell(answer, t('removed', id));
  await loadDrafts();
}

$('upload').onsubmit = async (submitted) => {
  submitted.preventDefault();
  const form = submitted.target;
  const answer = await send('POST', '/_sim/drafts', Object.fromEntries(new FormData(form)));
  tell(answer, answer.ok ? t('uploaded', answer.json.draft_id) : '');
  if (!answer.ok) return;
  form.user_version.value = form.user_version.value.replace(/\d+$/, (n) => Number(n) + 1);
  await loadDrafts();
};

const inputs = { miniprogram: 'source_miniprogram', developer: 'developer', description: 'user_desc' };

// propose fills the form in the page's language; what the person wrote stays.
export function propose(before) {
  for (const [name, field] of Object.entries(inputs)) {
    const input = $('upload').elements[field];
    if (!input.value || input.value === inLanguage(before ?? speaks(), `${name}Value`)) input.value = t(`${name}Value`);
  }
}
