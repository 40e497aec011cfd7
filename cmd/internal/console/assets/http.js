// Requests to the server of this page, and how their answers are shown.

import { $, chip, h, speaks, t } from './dom.js';

// base is the prefix of every path: the page may be served below a secret path.
export const base = location.pathname.replace(/\/[^/]*$/, '');

// send asks the server of this page, and reads the answer. Other sites' pages can't send the first header.
export async function send(method, path, body) {
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

// draw lets the server draw a chart of the data; undefined if it can't.
export async function draw(name, data) {
  const answer = await send('POST', `/_local/charts/${name}?language=${speaks()}`, data);
  return answer.ok ? answer.text : undefined;
}

// curl is the command that sends the same.
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const curl = ({ method, path, body }) => ['curl -s', method === 'GET' || (method === 'POST' && body !== undefined) ? '' : `-X ${method}`,
  base && method !== 'GET' ? "-H 'X-Draftbox-Console: 1'" : '',
  body === undefined ? '' : `-H 'Content-Type: application/json' -d ${quoted(JSON.stringify(body))}`, quoted(location.origin + base + path)].filter(Boolean).join(' ');
export const reason = ({ json }) => (json ? [json.detail ?? json.message ?? json.error ?? json.errorMessage, json.egress_ip && `egress_ip: ${json.egress_ip}`, json.action]
  .filter(Boolean).map((part) => part.replace(/\.$/, '')).join('. ') : t('notJSON'));

// tell shows an answer at the foot of the page.
export function tell(answer, text) {
  $('answer').hidden = false;
  $('answer').className = answer.ok && answer.json?.ok !== false ? '' : 'bad';
  $('answer-status').textContent = answer.status || t('lost');
  $('answer-request').textContent = `${answer.method} ${answer.path}`;
  $('answer-text').textContent = answer.ok ? text ?? '' : reason(answer);
  $('answer-checks').replaceChildren(...(answer.json?.checks ?? []).map((check) => h('li', {},
    h('div', { className: 'what' }, chip(check.name, check.ok ? 'good' : 'bad'), ' ', check.detail, check.action ? h('span', { className: 'meta action' }, check.action) : ''))));
  $('answer-curl').textContent = curl(answer);
  $('answer-body').textContent = answer.json ? JSON.stringify(answer.json, null, 2) : answer.text;
}
$('answer-close').onclick = () => { $('answer').hidden = true; };

// load reads a list for a section: what fails is said there, and the former list stays.
export async function load(section, path) {
  const answer = await send('GET', path);
  const failure = $(`${section}-failure`);
  failure.hidden = answer.ok;
  failure.textContent = answer.ok ? '' : reason(answer);
  return answer.ok ? answer.json : undefined;
}

// oneAtATime makes a function of which one call runs; what is asked meanwhile runs once more afterwards, not sooner than
// pause milliseconds later.
export function oneAtATime(work, pause = 0) {
  let running;
  let again = false;
  return function run() {
    if (running) {
      again = true;
      return running;
    }
    running = (async () => {
      do {
        again = false;
        await work();
        if (again && pause) await new Promise((resolve) => { setTimeout(resolve, pause); });
      } while (again);
      running = undefined;
    })();
    return running;
  };
}
