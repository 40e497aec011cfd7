// Accounts: one picture of all, and a list of those that the person chose.

import { $, actions, ask, button, chip, fill, h, meta, put, t, times } from './dom.js';
import { draw, load, oneAtATime, send, tell } from './http.js';
import { learnNames, nameOf } from './world.js';
import { showArticles } from './articles.js';

const page = 50; // accounts that are listed at once
const most = 50; // pages of 1,000 that are counted
let filter = { query: '', label: '' };
let listed; // {accounts, next}
let shown = page; // how many accounts the list may have
let counted; // {accounts, more}: equal ones are counted together

// countAll reads all accounts for the picture.
async function countAll() {
  const groups = new Map();
  let next;
  for (let at = 0; at < most; at += 1) {
    const answer = await send('GET', `/accounts?limit=1000${next ? `&next=${encodeURIComponent(next)}` : ''}`);
    if (!answer.ok) return; // the list says why
    learnNames(answer.json.accounts);
    for (const { kind, status, draft_switch, errcode } of answer.json.accounts) {
      const alike = { kind: kind ?? '', status, draft_switch: draft_switch ?? '', errcode: errcode ?? 0 };
      const key = JSON.stringify(alike);
      groups.set(key, { ...alike, count: (groups.get(key)?.count ?? 0) + 1 });
    }
    next = answer.json.next;
    if (!next) break;
  }
  counted = { accounts: [...groups.values()], more: !!next };
  await showPicture();
}

async function list() {
  const all = [];
  let next;
  do {
    const query = [`limit=${page}`, filter.query, next && `next=${encodeURIComponent(next)}`].filter(Boolean).join('&');
    const answer = await load('accounts', `/accounts?${query}`);
    if (!answer) return;
    all.push(...answer.accounts);
    next = answer.next;
  } while (next && all.length < shown); // a filtered page may be short
  listed = { accounts: all, next };
  learnNames(all);
  show();
}

export const loadAccounts = oneAtATime(list, 500);
export const loadPicture = oneAtATime(countAll, 3000);

export async function showPicture() {
  if (!counted) return;
  const total = counted.accounts.reduce((sum, { count }) => sum + count, 0);
  $('accounts-count').textContent = total.toLocaleString() + (counted.more ? '+' : '');
  const html = await draw('accounts', counted);
  if (!html) return;
  put($('accounts-chart'), html);
  $('accounts-chart').querySelectorAll('[data-query]').forEach((b) => {
    b.ariaPressed = b.dataset.query === filter.query;
    b.onclick = () => choose(b.dataset.query === filter.query ? '' : b.dataset.query, b.dataset.label);
  });
}

async function choose(query, label) {
  filter = { query, label };
  shown = page;
  await Promise.all([loadAccounts(), showPicture()]);
}

function row(account) {
  const name = account.name ?? nameOf(account.appid);
  const hasSwitch = account.kind !== 'mini-program';
  return h('li', { id: `account-${account.appid}` },
    h('div', { className: 'what' }, h('strong', {}, name), ' ',
      account.kind ? chip(t(`kind_${account.kind}`)) : '', ' ',
      hasSwitch ? chip(t(`switch_${account.draft_switch}`), { open: 'good', closed: 'warn' }[account.draft_switch]) : '', ' ',
      account.status === 'unauthorized' ? chip(t('unauthorized'), 'bad') : '', h('br'),
      meta(h('code', {}, account.appid), hasSwitch ? (account.checked_at ? times('checked', account.checked_at) : t('never')) : '',
        account.errcode ? t('errcode', account.errcode) : undefined)),
    hasSwitch ? actions(button(t('check'), t('checkLabel', name), () => check(account.appid)),
      button(t('articles'), t('articlesLabel', name), () => showArticles(account.appid, name)),
      account.draft_switch === 'open' ? '' : button(t('open'), t('openLabel2', name), () => open(account.appid))) : '');
}

export function show() {
  if (!listed) return;
  fill($('accounts'), listed.accounts.map(row), t('noAccounts'));
  $('accounts-filter').replaceChildren(...(filter.query ? [chip(t('filter', filter.label)), ' ', button(t('allAccounts'), '', () => choose('', ''))] : []));
  $('accounts-more').replaceChildren(...(listed.next ? [button(t('more'), '', async () => {
    shown += page;
    await loadAccounts();
  })] : []));
}

async function check(appid) {
  const answer = await send('GET', `/accounts/${appid}/draft-switch`);
  tell(answer, answer.ok ? t('isState', t(`switch_${answer.json.state}`)) : '');
}

async function open(appid) {
  $('opening-appid').textContent = `${appid} ${nameOf(appid) === appid ? '' : nameOf(appid)}`;
  $('opening-confirm').value = '';
  if (await ask($('opening')) !== 'open') return;
  const confirm = $('opening-confirm').value.trim(); // what is wrong in it, the API says
  const answer = await send('POST', `/accounts/${appid}/draft-switch`, confirm ? { confirm } : {});
  tell(answer, answer.ok ? `${t('isState', t(`switch_${answer.json.state}`))} ${t(answer.json.changed ? 'changed' : 'unchanged')}` : '');
  await Promise.all([loadAccounts(), loadPicture()]);
}
