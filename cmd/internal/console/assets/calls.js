// The last hour's calls of WeChat. Only the simulated one tells them.

import { $, put } from './dom.js';
import { draw, send } from './http.js';
import { simulatesWeChat } from './world.js';

let drawn = '';

export async function loadCalls() {
  $('calls-section').hidden = !simulatesWeChat();
  if (!simulatesWeChat()) return;
  const answer = await send('GET', '/_sim/results');
  const html = answer.ok ? await draw('calls', answer.json) : undefined;
  if (!html || html === drawn) return;
  drawn = html;
  put($('calls'), html);
}
