// The console: what the API answers, pictures of it, and buttons that do what the API does. Each section is a module.

import { $, chip, h, speak, speaks, t } from './dom.js';
import { base } from './http.js';
import { setWorld, simulatesAWS, simulatesWeChat, world } from './world.js';
import * as accounts from './accounts.js';
import * as calls from './calls.js';
import * as chat from './chat.js';
import * as drafts from './drafts.js';
import * as events from './events.js';
import * as faults from './faults.js';
import * as history from './history.js';
import * as tasks from './tasks.js';
import * as templates from './templates.js';
import * as tokens from './tokens.js';

const isLocal = () => simulatesWeChat() || simulatesAWS();

const loadLists = () => Promise.all([drafts.loadDrafts(), templates.loadTemplates(), history.loadHistory(), accounts.loadAccounts()]);
const loadAll = () => Promise.all([loadLists(), accounts.loadPicture(), tokens.loadTokens(), calls.loadCalls(), chat.loadChat()]);

function showWorld() {
  if (!world()) return;
  const { wechat, aws, ready, stack } = world();
  $('where').textContent = stack ? t('deployed', stack) : t('local');
  document.title = stack ? `${stack} · wechat-draftbox` : 'wechat-draftbox';
  $('places').replaceChildren(
    ...[[wechat, 'simulated', 'realWeChat'], [aws, 'standin', 'realAWS']].filter(([place]) => place.url)
      .map(([place, simulated, real]) => h('li', {}, chip(`${t(place.simulated ? simulated : real)} ${place.url}`))),
    ...(ready ? [] : [h('li', {}, chip(t('starting'), 'warn'))]));
  $('calls-section').hidden = !simulatesWeChat();
  events.show();
  tasks.show(loadAll);
  faults.show(loadAll);
  showJumps();
}

// showJumps links the sections that are there.
function showJumps() {
  const titles = [...document.querySelectorAll('main section:not([hidden])')].map((s) => [s, $(s.getAttribute('aria-labelledby')).textContent]);
  const now = JSON.stringify(titles.map(([, title]) => title));
  if ($('jumps').dataset.shown === now) return;
  $('jumps').dataset.shown = now;
  $('jumps').replaceChildren(...titles.map(([section, title]) => h('li', {}, h('a', { href: `#${section.id}` }, title))));
}

function choose(language) {
  const before = speaks();
  speak(language);
  drafts.propose(before);
  showWorld();
  for (const view of [drafts, history, templates, accounts, tokens, chat]) view.show();
  accounts.showPicture();
  if (world()) calls.loadCalls();
}
document.querySelectorAll('[data-language]').forEach((b) => { b.onclick = () => choose(b.dataset.language); });
choose(speaks());

$('refresh').onclick = loadAll;

// What changed decides what is read again; in a deployed stack nothing tells of changes, so the lists are read by the minute.
let seen = {};
const stream = new EventSource(`${base}/_local/stream`);
stream.onmessage = ({ data }) => {
  setWorld(JSON.parse(data));
  showWorld();
  const { drafts: ids, accounts_version: version, names, tokens: lives, ready, events: [newest], ticket_from: ticket } = world();
  const now = {
    lists: JSON.stringify([ids, version, ready, world().events.find((event) => !event.type.startsWith('Token'))?.id]),
    accounts: JSON.stringify([version, names, ready]),
    tokens: JSON.stringify([lives, ready, ticket, newest?.id]),
  };
  if (now.lists !== seen.lists) loadLists();
  if (now.accounts !== seen.accounts) accounts.loadPicture();
  if (now.tokens !== seen.tokens) tokens.loadTokens();
  if (seen.lists === undefined) {
    calls.loadCalls();
    chat.loadChat().then(showJumps);
  }
  seen = now;
};
stream.onerror = () => $('places').replaceChildren(h('li', {}, chip(t('lost'), 'bad')));

let beats = 0;
setInterval(() => {
  beats += 1;
  if (document.hidden || !world()) return;
  chat.loadChat().then(showJumps);
  if (beats % 3 === 0) calls.loadCalls();
  if (beats % 20 === 0) tokens.show();
  if (beats % 20 === 0 && !isLocal()) loadLists();
}, 3000);
