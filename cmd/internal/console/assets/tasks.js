// Tasks that can be run at once, doctor among them.

import { $, button, t } from './dom.js';
import { send, tell } from './http.js';
import { world } from './world.js';

const result = (json) => Object.entries(json).filter(([, v]) => typeof v === 'number' || typeof v === 'boolean').map(([k, v]) => `${k}: ${v}`).join(', ');

export function show(loadAll) {
  $('tasks').replaceChildren(...world().tasks.map(({ function: name, task }) => button(task, '', async () => {
    const answer = await send('POST', `/_local/invoke/${name}`, { task });
    tell(answer, !answer.ok ? '' : answer.json.checks ? t(answer.json.ok ? 'well' : 'ill') : result(answer.json));
    await loadAll();
  })));
}
