// A page to try the API: a form for each operation of the OpenAPI document, sent to this server.

// base is the prefix of every path: the page may be served below a secret path.
const base = location.pathname.replace(/\/_local\/api$/, '');
const document31 = await (await fetch(`${base}/_local/openapi.json`)).json();

function h(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

// resolve follows a $ref into the document.
const resolve = (node) => (node?.$ref ? resolve(node.$ref.slice(2).split('/').reduce((at, key) => at[key], document31)) : node);

function field(parameter) {
  const schema = resolve(parameter.schema);
  const name = `${parameter.name}${parameter.required ? ' *' : ''}`;
  const options = schema.enum ?? (schema.type === 'boolean' ? [true, false] : undefined);
  const input = options
    ? h('select', {}, h('option', { value: '' }, ''), ...options.map((o) => h('option', {}, String(o))))
    : h('input', { placeholder: parameter.required ? '' : String(parameter.example ?? schema.default ?? ''), value: parameter.required ? String(parameter.example ?? '') : '' });
  input.required = !!parameter.required;
  return { parameter, input, element: h('label', {}, h('span', {}, h('code', {}, name), ` ${parameter.description ?? ''}`), input) };
}

function operation(method, path, shared, described) {
  const fields = [...shared, ...(described.parameters ?? [])].map(resolve).map(field);
  const content = Object.entries(resolve(described.requestBody)?.content ?? {})[0];
  const example = content?.[1].example;
  const body = content && h('textarea', { value: typeof example === 'string' ? example : JSON.stringify(example), spellcheck: false });
  const answer = h('pre', { hidden: true, tabIndex: 0 });
  answer.setAttribute('aria-live', 'polite');
  const form = h('form', {}, ...fields.map((f) => f.element),
    body && h('label', { className: 'body' }, h('span', {}, h('code', {}, 'body'), ` ${content[0]}`), body),
    h('div', { className: 'buttons' }, h('button', { className: 'main' }, 'Send')));
  form.onsubmit = async (submitted) => {
    submitted.preventDefault();
    let target = path;
    const query = new URLSearchParams();
    const headers = { 'X-Draftbox-Console': '1', ...(body?.value ? { 'Content-Type': content[0] } : {}) };
    for (const { parameter, input } of fields) {
      if (input.value === '') continue;
      if (parameter.in === 'path') target = target.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (parameter.in === 'query') query.append(parameter.name, input.value);
      else headers[parameter.name] = input.value;
    }
    if (query.size) target += `?${query}`;
    answer.hidden = false;
    answer.textContent = `${method} ${target} …`;
    try {
      const response = await fetch(base + target, { method, headers, body: body?.value || undefined, cache: 'no-store' });
      const text = await response.text();
      const shown = response.headers.get('Content-Type')?.includes('json') && text ? JSON.stringify(JSON.parse(text), null, 2) : text;
      answer.textContent = [`${method} ${target}`, `${response.status} ${response.statusText}`, ...[...response.headers].map(([k, v]) => `${k}: ${v}`), '', shown].join('\n');
    } catch (failure) {
      answer.textContent = `${method} ${target}\n${failure.message}`;
    }
  };
  return h('details', { className: 'operation', id: described.operationId },
    h('summary', {}, h('span', { className: `method ${method.toLowerCase()}` }, method), ' ', h('code', {}, path), ` ${described.summary}`),
    h('p', { className: 'hint' }, described.description ?? ''), form, answer);
}

for (const tag of document31.tags) {
  const operations = Object.entries(document31.paths).flatMap(([path, item]) => Object.entries(item)
    .filter(([method, described]) => method !== 'parameters' && described.tags[0] === tag.name)
    .map(([method, described]) => operation(method.toUpperCase(), path, item.parameters ?? [], described)));
  document.getElementById('operations').append(h('section', {}, h('h2', {}, tag.name), h('p', { className: 'hint' }, tag.description), ...operations));
}
