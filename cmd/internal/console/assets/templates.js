// The template library.

import { $, actions, ask, button, fill, h, t } from './dom.js';
import { load, send, tell } from './http.js';
import { upload } from './drafts.js';

let list;

export function show() {
  if (!list) return;
  $('templates-count').textContent = t('of', list.size, list.limit);
  fill($('templates'), list.templates.map((template) => h('li', { id: `template-${template.template_id}` }, upload(template, template.template_id),
    actions(button(t('delete'), t('deleteLabel', template.template_id), () => remove(template.template_id))))), t('noTemplates'));
}

export async function loadTemplates() {
  list = await load('templates', '/templates') ?? list;
  show();
}

async function remove(id) {
  $('deleting-title').textContent = t('deleteTitle', id);
  if (await ask($('deleting')) !== 'delete') return;
  const answer = await send('DELETE', `/templates/${id}`);
  tell(answer, t('gone', id));
  await loadTemplates();
}
