// The events that the bundle published, as the stand-in for AWS got them.

import { $, chip, fill, h, meta, t, times } from './dom.js';
import { nameOf, simulatesAWS, world } from './world.js';

const short = (draft) => [`#${draft.draft_id}`, draft.user_version, draft.source_miniprogram || draft.source_miniprogram_appid].filter(Boolean).join(' · ');
const about = (detail) => {
  if (detail.draft) return short(detail.draft) + (detail.previous ? ` · ${t('replaces', `#${detail.previous.draft_id}`)}` : '');
  const who = detail.appid ? detail.name || nameOf(detail.appid) : detail.appid === '' ? t('kind_component') : '';
  return [detail.info_type, who, detail.to ? `${detail.from} → ${detail.to}` : '', detail.errcode ? t('errcode', detail.errcode) : ''].filter(Boolean).join(' · ');
};

const tone = (type) => (type.startsWith('Token') || type === 'Account Unauthorized' ? 'bad' : type === 'Draft Removed' ? 'warn' : 'good');

export function show() {
  $('events-section').hidden = !simulatesAWS();
  const opened = new Set([...$('events').querySelectorAll('details[open]')].map((d) => d.parentElement.id));
  fill($('events'), world().events.map((event) => h('li', { id: `event-${event.id}` },
    h('details', { open: opened.has(`event-${event.id}`) },
      h('summary', {}, chip(event.type, tone(event.type)), ' ', about(event.detail), ' ', meta(times('{0}', event.time)),
        event.detail.action ? h('span', { className: 'meta action' }, event.detail.action) : ''),
      h('pre', {}, JSON.stringify(event.detail, null, 2))))), t('noEvents'));
}
