// Breaking things in the simulated WeChat.

import { $, button, t } from './dom.js';
import { send, tell } from './http.js';
import { simulatesWeChat, world } from './world.js';
import { loadDrafts } from './drafts.js';

const faults = {
  busy: [['POST', '/_sim/faults', { path: '', kind: 'refuse', errcode: -1, times: -1 }]],
  kicked: [['POST', '/_local/tokens/expire']],
  whitelist: [['POST', '/_sim/whitelist', { refused_ip: '198.51.100.154' }]],
  lostAnswer: [['POST', '/_sim/faults', { path: '/cgi-bin/draft/switch', kind: 'drop', after: true, only: 'open' }],
    ['POST', '/_sim/faults', { path: '/wxa/addtotemplate', kind: 'drop', after: true }]],
  heal: [['POST', '/_sim/whitelist', { refused_ip: '' }], ['DELETE', '/_sim/faults']],
};

export function show(loadAll) {
  $('faults-section').hidden = !simulatesWeChat();
  const broken = [...new Set((world().faults ?? []).map((f) => `${f.kind} ${f.path}`.trim()))];
  if (world().refused_ip) broken.push(`61004 ${world().refused_ip}`);
  $('faults-state').textContent = broken.length ? t('broken', broken.join(', ')) : t('healed');
  $('faults-state').className = broken.length ? 'failure' : 'hint';
  $('faults').replaceChildren(...Object.keys(faults).map((name) => button(t(name), '', async () => {
    let answer;
    for (const call of faults[name]) answer = await send(...call);
    tell(answer, name === 'heal' ? t('healed') : t(`${name}Done`));
    await loadAll();
    setTimeout(loadDrafts, 3500); // until then the list of before is fresh enough
  })));
}
