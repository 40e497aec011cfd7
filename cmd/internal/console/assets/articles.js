// The article drafts of one account, in a dialog.

import { $, ask, button, fill, h, meta, t, times } from './dom.js';
import { load } from './http.js';

// link leads to an article; an address that isn't on the web is left out.
function link(article) {
  const title = article.title || t('untitled');
  if (!/^https?:\/\//i.test(article.url ?? '')) return h('strong', {}, title);
  return h('a', { href: article.url, target: '_blank', rel: 'noopener noreferrer' }, title);
}

const row = (draft) => h('li', {}, h('div', { className: 'what' },
  ...(draft.articles.length ? draft.articles : [{}]).map((article) => h('div', {}, link(article), ' ', h('span', { className: 'meta' }, article.digest ?? ''),
    article.author ? h('span', { className: 'meta' }, ` · ${t('by', article.author)}`) : '')),
  meta(h('code', {}, draft.media_id), draft.updated_at && times('updated', draft.updated_at))));

export async function showArticles(appid, name) {
  $('articles-title').textContent = t('articlesTitle', name);
  const drafts = [];
  const more = async (next) => {
    const answer = await load('articles', `/accounts/${appid}/drafts${next ? `?next=${encodeURIComponent(next)}` : ''}`);
    drafts.push(...(answer?.drafts ?? []));
    $('articles-count').textContent = answer ? t('articlesCount', drafts.length, answer.total_count) : '';
    fill($('articles'), drafts.map(row), answer ? t('noArticles') : '');
    $('articles-more').replaceChildren(...(answer?.next ? [button(t('more'), '', () => more(answer.next))] : []));
  };
  await more();
  await ask($('reading'));
}
