/**
 * The list of conversations and the one that is shown.
 * @module
 */
/** @import {Client} from '../sdk/index.js' */
/** @import {Counts} from '../sdk/types.js' */
/** @import {Conversation, DemoState, Line} from './common.js' */
import { byId, el, request, soon } from './common.js';
import { fixedLanguage, kindWords, language, t } from './strings.js';

/** @typedef {Conversation & {last?: Line}} Listed */

/** @param {string} name */
export const initial = (name) => [...name.trim()][0]?.toUpperCase() ?? '?';

/** @param {string} at ISO 8601 */
function when(at) {
  const d = new Date(at);
  const today = d.toDateString() === new Date().toDateString();
  return d.toLocaleString(language(), today ? { hour: '2-digit', minute: '2-digit' } : { month: 'short', day: 'numeric' });
}

/**
 * @param {object} o
 * @param {Client} o.client
 * @param {string} o.agent
 * @param {(conversation: string) => void} o.open
 */
export function chats({ client, agent, open }) {
  /** @type {DemoState} */
  let state = { agents: [], team: { id: '', name: '', members: [] }, conversations: [], public_url: '' };
  /** @type {Counts} */
  let counts = { total: 0, version: 0, conversations: [] };
  /** @type {string | null} the conversation shown */
  let current = null;
  /** @type {Line[] | null} of it; null: not yet known */
  let lines = null;

  /** @param {string} conversation */
  const unread = (conversation) => counts.conversations.find((c) => c.conversation === conversation)?.unread ?? 0;
  /** @param {string} id */
  const nameOf = (id) => state.agents.find((a) => a.id === id)?.name ?? id;

  /** @param {Conversation} c */
  function mine(c) {
    const { agent: a, team } = c.assignment;
    return a ? a === agent : !!team && team === state.team.id && state.team.members.includes(agent);
  }

  /** @param {Line} l */
  function lastWords(l) {
    const text = l.kind === 'text' || l.kind === 'emoji' ? l.text : '';
    const said = text || kindWords(l.kind);
    const whole = l.from === 'contact' ? said : l.from === agent ? t('list.you', { text: said }) : t('list.agent', { name: nameOf(l.from), text: said });
    return el('span.last', text ? {} : { lang: fixedLanguage() }, whole);
  }

  function showList() {
    const shown = /** @type {Listed[]} */ (state.conversations).filter((c) => mine(c) || unread(c.id) > 0 || c.id === current);
    const list = byId('conversations');
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.conversation;
    list.replaceChildren(...shown.map((c) => {
      const n = unread(c.id);
      const name = c.contact || c.id;
      const b = el('button', { type: 'button' },
        el('span.avatar', { ariaHidden: 'true' }, initial(name)),
        el('span.grow', {}, el('span.contact', {}, name), c.last && lastWords(c.last)),
        el('span.side', {}, c.last && el('span.soft', {}, when(c.last.at)),
          n > 0 && el('span.unread', {}, el('span', { ariaHidden: 'true' }, n > 99 ? '99+' : String(n)), el('span.unseen', {}, t('list.unread', { n })))));
      b.dataset.conversation = c.id;
      b.setAttribute('aria-current', String(c.id === current));
      b.classList.toggle('waiting', n > 0);
      b.addEventListener('click', () => open(c.id));
      return el('li', {}, b);
    }));
    if (focused) /** @type {HTMLElement | null} */ (list.querySelector(`[data-conversation="${CSS.escape(focused)}"]`))?.focus();
    byId('empty').hidden = shown.length > 0;
    const total = byId('total');
    total.hidden = counts.total === 0;
    total.textContent = counts.total > 99 ? '99+' : String(counts.total);
    showHead();
  }

  function showHead() {
    const c = state.conversations.find(({ id }) => id === current);
    if (!c) return;
    const { agent: a, team } = c.assignment;
    byId('chat-name').textContent = c.contact || c.id;
    byId('chat-initial').textContent = initial(c.contact || c.id);
    byId('chat-to').textContent = a === agent ? t('chat.to_you') : a ? t('chat.to_other', { name: nameOf(a) })
      : team ? t('chat.to_team', { team: state.team.name }) : t('chat.to_nobody');
  }

  /** @param {Line} l */
  function bubble(l) {
    const text = l.kind === 'text' || l.kind === 'emoji';
    const foot = el('span.soft', {}, `${l.from === 'contact' || l.from === agent ? '' : `${nameOf(l.from)} · `}${new Date(l.at).toLocaleTimeString(language(), { hour: '2-digit', minute: '2-digit' })}`);
    return el(l.from === 'contact' ? 'li' : 'li.mine', {},
      l.thumbnail && el('img', { src: l.thumbnail, alt: '', loading: 'lazy', referrerPolicy: 'no-referrer' }),
      text && l.text ? el('span', {}, l.text) : el('i', { lang: fixedLanguage() }, kindWords(l.kind), l.text ? ` ${l.text}` : ''),
      foot);
  }

  function showLines() {
    byId('lines').replaceChildren(...(lines ?? []).map(bubble));
    byId('no-lines').hidden = !lines || lines.length > 0;
    byId('log').scrollTop = byId('log').scrollHeight;
    markRead();
  }

  /** What the agent looks at is read. */
  function markRead() {
    if (!current || !lines?.length || byId('chat').hidden || document.visibilityState !== 'visible' || !document.hasFocus()) return;
    const upto = Math.max(0, ...lines.filter((l) => l.from === 'contact').map((l) => l.seq));
    if (upto > 0 && unread(current) > 0) client.read(current, upto);
  }
  addEventListener('focus', markRead);
  document.addEventListener('visibilitychange', markRead);

  const linesChanged = soon(async () => {
    const of = current;
    if (!of) return;
    const { messages } = await request('GET', `/demo/conversations/${encodeURIComponent(of)}/messages`).catch(() => ({ messages: null }));
    if (!messages || of !== current) return;
    lines = messages;
    showLines();
  }, 30);

  const stateChanged = soon(async () => {
    try {
      state = await request('GET', '/demo/state');
    } catch {
      return;
    }
    showList();
  }, 100);

  byId('reply').addEventListener('submit', async (e) => {
    e.preventDefault();
    const input = /** @type {HTMLInputElement} */ (byId('reply-text'));
    const failed = byId('reply-result');
    if (!current) return;
    try {
      await request('POST', `/demo/conversations/${encodeURIComponent(current)}/reply`, { agent, text: input.value });
      input.value = '';
      failed.hidden = true;
      linesChanged();
    } catch (err) {
      failed.textContent = /** @type {Error} */ (err).message;
      failed.hidden = false;
    }
  });

  return {
    /** @param {string | null} conversation to be shown, or none */
    show(conversation) {
      if (conversation !== current) {
        lines = null;
        current = conversation;
        byId('chat-name').textContent = byId('chat-to').textContent = byId('chat-initial').textContent = '';
      }
      showList();
      showLines();
      if (conversation) linesChanged();
    },
    /** @param {Counts} c */
    counts(c) {
      counts = c;
      showList();
      if (c.conversations.some(({ conversation }) => !state.conversations.some((k) => k.id === conversation))) stateChanged();
      if (current && unread(current)) linesChanged();
    },
    /** Something happened in a conversation. @param {string} [conversation] */
    changed(conversation) {
      if (!conversation || conversation === current) linesChanged();
      stateChanged();
    },
    /** The language is another. */
    retell() {
      showList();
      showLines();
    },
  };
}
