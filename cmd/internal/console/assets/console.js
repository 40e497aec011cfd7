// The console of the local run: what the API answers, what the stand-ins hold, and buttons that do what the API does.
// Texts of drafts are anybody's: they reach the page as text only.

const words = {
  en: {
    local: 'local run', tryApi: 'Try the API', language: 'Language', close: 'Close', body: 'Answer', cancel: 'Cancel',
    simulated: 'simulated WeChat', standin: 'stand-in for AWS', realWeChat: 'WeChat', realAWS: 'AWS', lost: 'not connected', starting: 'getting ready …',
    drafts: 'Draft box', draftsHint: 'What developers uploaded. WeChat keeps only the newest upload of each mini program.',
    noDrafts: 'No drafts. Upload one below.', promote: 'To the library', promoteLabel: 'Put draft {0} into the template library',
    uploadTitle: 'Upload a draft, as a developer does with miniprogram-ci', upload: 'Upload', uploaded: 'Draft {0} is in the box. The next watch-drafts tells it as an event; you can run it now.',
    removeLabel: 'Delete draft {0}, as on the platform\'s own page', removed: 'Draft {0} is out of the box. If it was the newest of its mini program, the next watch-drafts tells it as an event.',
    miniprogram: 'Mini program', appid: 'Its appid', version: 'Version', developer: 'Developer', description: 'Description',
    miniprogramValue: 'Tea House', developerValue: 'Lin', descriptionValue: 'order by table number',
    templates: 'Template library', noTemplates: 'No templates yet. A draft that is good goes "to the library".', of: '{0} of {1}', delete: 'Delete', deleteLabel: 'Delete template {0}',
    deleteTitle: 'Delete template {0}?', deleteText: 'This cannot be undone.', promoted: 'It is template {0}.', gone: 'Template {0} is deleted.',
    accounts: 'Accounts', accountsHint: 'Accounts that authorised the platform, and your own. An Official Account has a draft switch; once open, it never closes again.',
    noAccounts: 'No accounts are known yet.', check: 'Check', checkLabel: 'Check the switch of {0}', open: 'Open …', openLabel2: 'Open the switch of {0}',
    switch_open: 'switch open', switch_closed: 'switch closed', switch_unknown: 'switch unknown', switch_opening: 'switch opening',
    'kind_official-account': 'Official Account', 'kind_mini-program': 'mini program',
    authorized: 'authorised', unauthorized: 'authorisation ended', checked: 'checked {0}', never: 'never checked', errcode: 'errcode {0}',
    openTitle: 'Open this account\'s draft switch?', openText: 'WeChat opens it for good: nobody can close it again. To confirm, type the appid.',
    openLabel: 'Appid of the account', openNow: 'Open for good', isState: 'WeChat says: {0}.', changed: 'It was opened now.', unchanged: 'It was open already; nothing was sent.',
    events: 'Events', noEvents: 'No events yet. Upload a draft and run watch-drafts.', replaces: 'replaces {0}',
    tokens: 'Tokens', tokensHint: 'The bundle keeps them alive by itself. Values are never shown.', noTokens: 'No tokens yet.',
    kind_component: 'platform', kind_authorizer: 'authorised account', kind_own: 'own account', kind_ticket: 'ticket',
    expires: 'expires {0}', expired: 'expired {0}', unlimited: 'no expiry', stored: 'stored {0}', pushed: 'pushed {0}',
    tasks: 'Run a task now', faults: 'Break something', healed: 'Nothing is broken.', broken: 'Broken: {0}.',
    busy: 'WeChat is busy', kicked: 'Tokens run out', whitelist: 'Address not whitelisted', lostAnswer: 'Answers get lost', heal: 'Heal',
    busyDone: 'Every call now meets errcode -1.', kickedDone: 'All tokens have run out. At the first refusal the bundle fetches new ones.',
    whitelistDone: 'WeChat refuses this machine\'s address.', lostAnswerDone: 'The answer to the next opening and promotion gets lost.',
    needsWeChat: 'Only with the simulated WeChat: the real one is in use.', needsAWS: 'Only with the stand-in for AWS: look into the account itself.',
    notJSON: 'no answer', request: 'In a terminal', well: 'All is well.', ill: 'Not all is well.',
  },
  zh: {
    local: '本地运行', tryApi: '试用 API', language: '语言', close: '关闭', body: '返回内容', cancel: '取消',
    simulated: '模拟微信', standin: 'AWS 替身', realWeChat: '微信', realAWS: 'AWS', lost: '连接已断开', starting: '正在准备…',
    drafts: '草稿箱', draftsHint: '开发小程序上传的代码草稿。每个开发小程序只保留最新一次上传。',
    noDrafts: '草稿箱为空，可在下方上传。', promote: '添加到模板库', promoteLabel: '把草稿 {0} 添加到模板库',
    uploadTitle: '上传草稿（相当于开发者用 miniprogram-ci 上传）', upload: '上传', uploaded: '草稿 {0} 已进入草稿箱。下一次 watch-drafts 会发出事件，也可以立即执行。',
    removeLabel: '删除草稿 {0}（相当于在开放平台页面上删除）', removed: '草稿 {0} 已从草稿箱删除。如果它是该小程序最新的草稿，下一次 watch-drafts 会发出事件。',
    miniprogram: '开发小程序', appid: '小程序 AppID', version: '版本号', developer: '开发者', description: '项目备注',
    miniprogramValue: '茶馆点单', developerValue: '小林', descriptionValue: '新增：按桌号点单',
    templates: '模板库', noTemplates: '模板库为空，可从草稿箱添加。', of: '{0} / {1}', delete: '删除', deleteLabel: '删除模板 {0}',
    deleteTitle: '删除模板 {0}？', deleteText: '删除后无法恢复。', promoted: '模板 ID 为 {0}。', gone: '模板 {0} 已删除。',
    accounts: '账号', accountsHint: '已授权给平台的账号和自有账号。公众号有草稿箱开关，一旦开启，无法关闭。',
    noAccounts: '还没有已知的账号。', check: '查询', checkLabel: '查询 {0} 的草稿箱开关', open: '开启…', openLabel2: '开启 {0} 的草稿箱开关',
    switch_open: '开关已开启', switch_closed: '开关未开启', switch_unknown: '开关状态未知', switch_opening: '开启中',
    'kind_official-account': '公众号', 'kind_mini-program': '小程序',
    authorized: '已授权', unauthorized: '已取消授权', checked: '查询于{0}', never: '尚未查询', errcode: '错误码 {0}',
    openTitle: '确定开启该账号的草稿箱开关？', openText: '开启后永久有效，任何人都无法关闭。请输入该账号的 AppID 以确认。',
    openLabel: '账号 AppID', openNow: '永久开启', isState: '微信返回：{0}。', changed: '本次已开启。', unchanged: '此前已开启，没有发送开启请求。',
    events: '事件', noEvents: '还没有事件。可上传草稿并执行 watch-drafts。', replaces: '取代 {0}',
    tokens: '令牌', tokensHint: '由系统自动刷新，此处从不显示令牌内容。', noTokens: '还没有令牌。',
    kind_component: '第三方平台', kind_authorizer: '授权账号', kind_own: '自有账号', kind_ticket: '验证票据',
    expires: '{0}过期', expired: '已于{0}过期', unlimited: '未注明过期时间', stored: '{0}写入', pushed: '{0}推送',
    tasks: '立即执行任务', faults: '制造故障', healed: '一切正常。', broken: '当前故障：{0}。',
    busy: '微信系统繁忙', kicked: '令牌全部过期', whitelist: 'IP 不在白名单', lostAnswer: '响应丢失', heal: '恢复正常',
    busyDone: '之后的每次调用都会返回错误码 -1。', kickedDone: '全部令牌已过期。首次被拒绝后，系统会自动获取新令牌。',
    whitelistDone: '微信将拒绝本机 IP 的请求。', lostAnswerDone: '下一次开启开关、添加模板的响应将会丢失。',
    needsWeChat: '仅在使用模拟微信时可用，当前连接的是真实微信。', needsAWS: '仅在使用 AWS 替身时可用，请直接查看 AWS 账户。',
    notJSON: '没有响应', request: '在终端中执行', well: '一切正常。', ill: '有问题需要处理。',
  },
};

const $ = (id) => document.getElementById(id);
let language = localStorage.getItem('language') ?? (navigator.language.startsWith('zh') ? 'zh' : 'en');
const t = (key, ...values) => values.reduce((text, value, at) => text.replace(`{${at}}`, value), words[language][key] ?? key);

// h makes an element; what is no element among its children becomes text.
function h(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== undefined && child !== ''));
  return element;
}
const chip = (text, tone) => h('span', { className: `chip ${tone ?? ''}` }, text);
const button = (text, label, onclick) => {
  const b = h('button', { type: 'button' }, text);
  if (label) b.ariaLabel = label;
  b.onclick = async () => { // once until it is done
    b.disabled = true;
    try { await onclick(); } finally { b.disabled = false; }
  };
  return b;
};

// ago says how far a moment is, in words that change as time goes by, and its date when it is long ago.
function ago(at) {
  const locale = language === 'zh' ? 'zh-CN' : 'en';
  const seconds = (new Date(at) - Date.now()) / 1000;
  if (seconds < -30 * 86400) return new Date(at).toLocaleDateString(locale, { dateStyle: 'medium' });
  const [unit, length] = [['day', 86400], ['hour', 3600], ['minute', 60]].find(([, length]) => Math.abs(seconds) >= 2 * length) ?? ['second', 1];
  return new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }).format(Math.trunc(seconds / length), unit);
}
const times = (pattern, at) => {
  const element = h('time', { dateTime: at, title: new Date(at).toLocaleString(language === 'zh' ? 'zh-CN' : 'en') });
  element.say = () => { element.textContent = t(typeof pattern === 'function' ? pattern() : pattern, ago(at)); };
  element.say();
  return element;
};
setInterval(() => document.querySelectorAll('time').forEach((element) => element.say?.()), 1000);

// actions are a row's buttons, which stay together in a narrow window.
const actions = (...buttons) => h('div', { className: 'actions' }, ...buttons);
const meta = (...parts) => h('span', { className: 'meta' }, ...parts.filter((p) => p !== undefined && p !== '').flatMap((p, at) => (at ? [' · ', p] : [p])));

// base is what stands before every path: the page may be served below a path that nobody can guess.
const base = location.pathname.replace(/\/[^/]*$/, '');

// send asks the server of this page, and reads the answer. Other sites' pages can't send the first header.
async function send(method, path, body) {
  try {
    const headers = { 'X-Draftbox-Console': '1', ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) };
    const response = await fetch(base + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await response.text();
    let json;
    try { json = JSON.parse(text); } catch { /* a 204, or no JSON */ }
    return { ok: response.ok, status: response.status, method, path, body, text, json };
  } catch {
    return { ok: false, status: 0, method, path, body, text: '', json: undefined };
  }
}

// curl is the command that sends the same.
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const curl = ({ method, path, body }) => ['curl -s', method === 'GET' || (method === 'POST' && body !== undefined) ? '' : `-X ${method}`,
  base && method !== 'GET' ? "-H 'X-Draftbox-Console: 1'" : '',
  body === undefined ? '' : `-H 'Content-Type: application/json' -d ${quoted(JSON.stringify(body))}`, quoted(location.origin + base + path)].filter(Boolean).join(' ');
const reason = ({ json }) => (json ? [json.detail ?? json.message ?? json.error ?? json.errorMessage, json.egress_ip && `egress_ip: ${json.egress_ip}`, json.action]
  .filter(Boolean).map((part) => part.replace(/\.$/, '')).join('. ') : t('notJSON'));

// tell shows an answer at the foot of the page.
function tell(answer, text) {
  $('answer').hidden = false;
  $('answer').className = answer.ok ? '' : 'bad';
  $('answer-status').textContent = answer.status || t('lost');
  $('answer-request').textContent = `${answer.method} ${answer.path}`;
  $('answer-text').textContent = answer.ok ? text ?? '' : reason(answer);
  $('answer-checks').replaceChildren(...(answer.json?.checks ?? []).map((check) => h('li', {},
    h('div', { className: 'what' }, chip(check.name, check.ok ? 'good' : 'bad'), ' ', check.detail, check.action ? h('span', { className: 'meta action' }, check.action) : ''))));
  $('answer-curl').textContent = curl(answer);
  $('answer-body').textContent = answer.json ? JSON.stringify(answer.json, null, 2) : answer.text;
}
$('answer-close').onclick = () => { $('answer').hidden = true; };

// --- what the API lists ---

const lists = { drafts: undefined, templates: undefined, accounts: undefined };
let state; // of the stand-ins, as the stream tells it
const nameOf = (appid) => state?.names[appid] || appid;

async function load(name, path) {
  const answer = await send('GET', path);
  $(`${name}-failure`).hidden = answer.ok;
  $(`${name}-failure`).textContent = answer.ok ? '' : reason(answer);
  if (answer.ok) {
    lists[name] = answer.json;
    show();
  }
}
// loadDrafts asks again while the list is older than what the simulated WeChat holds: a fresh list is three seconds old at most.
let late;
async function loadDrafts(tries = 5) {
  clearTimeout(late);
  await load('drafts', `/drafts${state?.wechat.simulated ? '?fresh=true' : ''}`);
  const ids = (all) => all.toSorted((a, b) => a - b).join();
  const listed = lists.drafts?.drafts.map((draft) => draft.draft_id);
  if (tries && listed && state?.wechat.simulated && ids(listed) !== ids(state.drafts)) late = setTimeout(() => loadDrafts(tries - 1), 1000);
}
const loadTemplates = () => load('templates', '/templates');
const loadAccounts = () => load('accounts', '/accounts');
const loadAll = () => Promise.all([loadDrafts(), loadTemplates(), loadAccounts()]);

const upload = (u, id) => h('div', { className: 'what' },
  h('strong', {}, `${u.user_version ?? ''} `), h('span', { className: 'text' }, u.user_desc ?? ''), h('br'),
  meta(`#${id}`, u.source_miniprogram, h('code', {}, u.source_miniprogram_appid ?? ''), u.developer, u.created_at && times('{0}', u.created_at)));
words.en['{0}'] = words.zh['{0}'] = '{0}';

const rows = {
  drafts: (draft) => h('li', { id: `draft-${draft.draft_id}` }, upload(draft, draft.draft_id),
    actions(button(t('promote'), t('promoteLabel', draft.draft_id), () => promote(draft.draft_id)),
      state?.wechat.simulated ? button(t('delete'), t('removeLabel', draft.draft_id), () => takeOut(draft.draft_id)) : '')),
  templates: (template) => h('li', { id: `template-${template.template_id}` }, upload(template, template.template_id),
    actions(button(t('delete'), t('deleteLabel', template.template_id), () => remove(template.template_id)))),
  accounts: (account) => {
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
        account.draft_switch === 'open' ? '' : button(t('open'), t('openLabel2', name), () => open(account.appid))) : '');
  },
};

function fill(list, entries, empty) {
  const known = new Set([...list.children].map((row) => row.id));
  const focused = document.activeElement?.ariaLabel;
  for (const row of entries) if (known.size && row.id && !known.has(row.id)) row.classList.add('new');
  list.replaceChildren(...(entries.length ? entries : [h('li', { className: 'none' }, empty)]));
  if (focused && !document.activeElement?.ariaLabel) [...list.querySelectorAll('button')].find((b) => b.ariaLabel === focused)?.focus();
}

function show() {
  const { drafts, templates, accounts } = lists;
  if (drafts) {
    $('drafts-count').textContent = drafts.count;
    fill($('drafts'), drafts.drafts.map(rows.drafts), t('noDrafts'));
  }
  if (templates) {
    $('templates-count').textContent = t('of', templates.size, templates.limit);
    fill($('templates'), templates.templates.map(rows.templates), t('noTemplates'));
  }
  if (accounts) {
    $('accounts-count').textContent = accounts.accounts.length + (accounts.next ? '+' : '');
    fill($('accounts'), accounts.accounts.map(rows.accounts), t('noAccounts'));
  }
}

// --- what the stand-ins tell ---

const short = (draft) => [`#${draft.draft_id}`, draft.user_version, draft.source_miniprogram || draft.source_miniprogram_appid].filter(Boolean).join(' · ');
const about = (detail) => {
  if (detail.draft) return short(detail.draft) + (detail.previous ? ` · ${t('replaces', `#${detail.previous.draft_id}`)}` : '');
  const who = detail.appid ? nameOf(detail.appid) : detail.appid === '' ? t('kind_component') : '';
  return [who, detail.to ? `${detail.from} → ${detail.to}` : '', detail.errcode ? t('errcode', detail.errcode) : ''].filter(Boolean).join(' · ');
};

const tone = (type) => (type.startsWith('Token') || type === 'Account Unauthorized' ? 'bad' : type === 'Draft Removed' ? 'warn' : 'good');

function showState() {
  if (!state) return;
  $('places').replaceChildren(
    h('li', {}, chip(`${t(state.wechat.simulated ? 'simulated' : 'realWeChat')} ${state.wechat.url}`)),
    h('li', {}, chip(`${t(state.aws.simulated ? 'standin' : 'realAWS')} ${state.aws.url}`)),
    ...(state.ready ? [] : [h('li', {}, chip(t('starting'), 'warn'))]));

  $('uploading').hidden = !state.wechat.simulated;
  const opened = new Set([...$('events').querySelectorAll('details[open]')].map((d) => d.parentElement.id));
  fill($('events'), state.events.map((event) => h('li', { id: `event-${event.id}` },
    h('details', { open: opened.has(`event-${event.id}`) },
      h('summary', {}, chip(event.type, tone(event.type)), ' ', about(event.detail), ' ', meta(times('{0}', event.time)),
        event.detail.action ? h('span', { className: 'meta action' }, event.detail.action) : ''),
      h('pre', {}, JSON.stringify(event.detail, null, 2))))),
  t(state.aws.simulated ? 'noEvents' : 'needsAWS'));

  const row = (name, mark, ...known) => h('li', {}, h('div', { className: 'what' }, h('strong', {}, name), ' ', mark, h('br'), meta(...known)));
  const tokens = state.tokens.map((token) => row(token.appid ? nameOf(token.appid) : t('kind_component'), token.appid ? chip(t(`kind_${token.kind}`)) : '',
    token.expires_at ? times(() => (new Date(token.expires_at) > Date.now() ? 'expires' : 'expired'), token.expires_at) : t('unlimited'),
    token.stored_at && times('stored', token.stored_at)));
  if (state.ticket_from) tokens.push(row(t('kind_ticket'), h('code', {}, 'component_verify_ticket'), times('pushed', state.ticket_from)));
  fill($('tokens'), tokens, t(state.aws.simulated ? 'noTokens' : 'needsAWS'));

  $('tasks').replaceChildren(...state.tasks.map(({ function: name, task }) => button(task, '', async () => {
    const answer = await send('POST', `/_local/invoke/${name}`, { task });
    tell(answer, !answer.ok ? '' : answer.json.checks ? t(answer.json.ok ? 'well' : 'ill') : Object.entries(answer.json).filter(([, v]) => typeof v === 'number' || typeof v === 'boolean').map(([k, v]) => `${k}: ${v}`).join(', '));
    await loadAll();
  })));

  const broken = [...new Set((state.faults ?? []).map((f) => `${f.kind} ${f.path}`.trim()))];
  if (state.refused_ip) broken.push(`61004 ${state.refused_ip}`);
  $('faults-state').textContent = !state.wechat.simulated ? t('needsWeChat') : broken.length ? t('broken', broken.join(', ')) : t('healed');
  $('faults-state').className = broken.length ? 'failure' : 'hint';
  $('faults').replaceChildren(...(state.wechat.simulated ? Object.keys(faults).map((name) => button(t(name), '', () => breakIt(name))) : []));
}

// --- what the buttons do ---

async function promote(id) {
  const answer = await send('POST', `/drafts/${id}/template`);
  tell(answer, answer.ok ? t('promoted', answer.json.template_id) : '');
  await Promise.all([loadTemplates(), answer.ok ? undefined : loadDrafts()]);
}

// takeOut deletes a draft on WeChat's side: the API has no such call, for WeChat has none.
async function takeOut(id) {
  const answer = await send('DELETE', `/_sim/drafts/${id}`);
  tell(answer, t('removed', id));
  await loadDrafts();
}

// ask shows a dialog and waits for the value of the button that closed it; Escape is an empty one.
const ask = (dialog) => new Promise((resolve) => {
  dialog.returnValue = '';
  dialog.onclose = () => resolve(dialog.returnValue);
  dialog.showModal();
});

async function remove(id) {
  $('deleting-title').textContent = t('deleteTitle', id);
  if (await ask($('deleting')) !== 'delete') return;
  const answer = await send('DELETE', `/templates/${id}`);
  tell(answer, t('gone', id));
  await loadTemplates();
}

async function check(appid) {
  const answer = await send('GET', `/accounts/${appid}/draft-switch`);
  tell(answer, answer.ok ? t('isState', t(`switch_${answer.json.state}`)) : '');
}

async function open(appid) {
  $('opening-appid').textContent = `${appid} ${state?.names[appid] ?? ''}`;
  $('opening-confirm').value = '';
  if (await ask($('opening')) !== 'open') return;
  const confirm = $('opening-confirm').value.trim(); // what is wrong in it, the API says
  const answer = await send('POST', `/accounts/${appid}/draft-switch`, confirm ? { confirm } : {});
  tell(answer, answer.ok ? `${t('isState', t(`switch_${answer.json.state}`))} ${t(answer.json.changed ? 'changed' : 'unchanged')}` : '');
  await loadAccounts();
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

const faults = {
  busy: [['POST', '/_sim/faults', { path: '', kind: 'refuse', errcode: -1, times: -1 }]],
  kicked: [['POST', '/_local/tokens/expire']],
  whitelist: [['POST', '/_sim/whitelist', { refused_ip: '198.51.100.154' }]],
  lostAnswer: [['POST', '/_sim/faults', { path: '/cgi-bin/draft/switch', kind: 'drop', after: true, only: 'open' }],
    ['POST', '/_sim/faults', { path: '/wxa/addtotemplate', kind: 'drop', after: true }]],
  heal: [['POST', '/_sim/whitelist', { refused_ip: '' }], ['DELETE', '/_sim/faults']],
};

async function breakIt(name) {
  let answer;
  for (const call of faults[name]) answer = await send(...call);
  tell(answer, name === 'heal' ? t('healed') : t(`${name}Done`));
  await loadAll();
  setTimeout(loadDrafts, 3500); // until then the list of before is fresh enough
}

// --- language, and the stream ---

const usual = ['miniprogram', 'developer', 'description'];
const inputs = { miniprogram: 'source_miniprogram', developer: 'developer', description: 'user_desc' };

function speak(chosen) {
  const before = language;
  language = chosen;
  localStorage.setItem('language', chosen);
  document.documentElement.lang = chosen === 'zh' ? 'zh-CN' : 'en';
  document.querySelectorAll('[data-t]').forEach((element) => { element.textContent = t(element.dataset.t); });
  document.querySelectorAll('[data-t-label]').forEach((element) => { element.ariaLabel = t(element.dataset.tLabel); });
  document.querySelectorAll('[data-language]').forEach((b) => { b.ariaPressed = b.dataset.language === chosen; });
  for (const name of usual) { // what the person wrote stays
    const input = $('upload').elements[inputs[name]];
    if (!input.value || input.value === words[before][`${name}Value`]) input.value = t(`${name}Value`);
  }
  showState();
  show();
}
document.querySelectorAll('[data-language]').forEach((b) => { b.onclick = () => speak(b.dataset.language); });
speak(language);

let seen = '';
const stream = new EventSource(`${base}/_local/stream`);
stream.onmessage = ({ data }) => {
  state = JSON.parse(data);
  showState();
  const now = JSON.stringify([state.drafts, state.accounts_version, state.names, state.tokens, state.ready, state.events.find((event) => !event.type.startsWith('Token'))?.id]);
  if (now !== seen) {
    seen = now;
    loadAll();
  }
};
stream.onerror = () => $('places').replaceChildren(h('li', {}, chip(t('lost'), 'bad')));
