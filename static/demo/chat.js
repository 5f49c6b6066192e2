/**
 * The list of conversations and the one that is shown.
 * @module
 */
/** @import {Client} from '../sdk/index.js' */
/** @import {Counts} from '../sdk/types.js' */
/** @import {Conversation, DemoState, Line} from './common.js' */
import { arrange, byId, el, request, soon, Unreachable } from './common.js';
import { errorWords } from './results.js';
import { fixedLanguage, kindWords, language, t } from './strings.js';

/** @typedef {Conversation & {last?: Line}} Listed */

/** Lines of one side closer together than this stand as one run with one time. */
const RUN = 3 * 60_000;
/** After what the hub could not tell, in ms. */
const ASK_AGAIN = 2_000;
/** How near to its end, in px, a transcript counts as followed. */
const NEAR = 80;

const graphemes = new Intl.Segmenter();
/** @param {string} name */
export const initial = (name) => [...graphemes.segment(name.trim())][0]?.segment.toUpperCase() ?? '?';

/**
 * A disc with an initial, of a colour of its own.
 * @param {HTMLElement} disc
 * @param {string} name
 */
function face(disc, name) {
  let hash = 0;
  for (const c of name) hash = (hash * 31 + (c.codePointAt(0) ?? 0)) % 360;
  disc.style.setProperty('--hue', String(hash));
  disc.textContent = initial(name);
  return disc;
}

/** Keeps the direction of a text to itself. @param {string} text */
const isolated = (text) => `\u2068${text}\u2069`;

/** @param {Date} d */
const time = (d) => d.toLocaleTimeString(language(), { hour: '2-digit', minute: '2-digit' });

/** @param {Date} d */
function daysAgo(d) {
  const midnight = (/** @type {Date} */ x) => new Date(x.getFullYear(), x.getMonth(), x.getDate()).getTime();
  return Math.round((midnight(new Date()) - midnight(d)) / 86_400_000);
}

/** @param {Date} d */
function day(d) {
  const ago = daysAgo(d);
  if (ago === 0 || ago === 1) return new Intl.RelativeTimeFormat(language(), { numeric: 'auto' }).format(-ago, 'day');
  return d.toLocaleDateString(language(), { weekday: 'long', month: 'long', day: 'numeric' });
}

/** @param {string} at ISO 8601 */
function when(at) {
  const d = new Date(at);
  const ago = daysAgo(d);
  return ago === 0 ? time(d) : ago === 1 ? day(d) : d.toLocaleDateString(language(), { month: 'short', day: 'numeric' });
}

/**
 * @param {object} o
 * @param {Client} o.client
 * @param {string} o.agent
 * @param {(conversation: string) => void} o.open
 * @param {(contact: string) => void} o.titled called with the name of the contact whose conversation is shown
 */
export function chats({ client, agent, open, titled }) {
  /** @type {DemoState} */
  let state = { agents: [], team: { id: '', name: '', members: [] }, conversations: [], public_url: '' };
  /** @type {Counts} */
  let counts = { total: 0, version: 0, conversations: [] };
  /** @type {string | null} the conversation shown */
  let current = null;
  /** @type {Line[] | null} of it; null: not yet known */
  let lines = null;
  let known = false; // what conversations there are
  let following = true; // the end of the transcript
  /** @type {Map<string, {row: HTMLElement, button: HTMLButtonElement, says: string}>} by conversation */
  const rows = new Map();
  /** @type {Map<string, {row: HTMLElement, says: string}>} by line */
  const bubbles = new Map();
  /** @type {Map<string, string>} what was typed and not sent, by conversation */
  const drafts = new Map();
  const log = byId('log');
  const input = /** @type {HTMLTextAreaElement} */ (byId('reply-text'));

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
    const said = isolated(text || kindWords(l.kind));
    const whole = l.from === 'contact' ? said : l.from === agent ? t('list.you', { text: said }) : t('list.agent', { name: isolated(nameOf(l.from)), text: said });
    return el('span.last', { dir: 'auto', lang: text ? '' : fixedLanguage() }, whole);
  }

  /** @param {number} n */
  const countWords = (n) => [el('span', { ariaHidden: 'true' }, n > 99 ? '99+' : String(n)), el('span.unseen', {}, t('list.unread', { n }))];

  /** @param {Listed} c */
  function row(c) {
    let r = rows.get(c.id);
    if (!r) {
      const button = /** @type {HTMLButtonElement} */ (el('button', { type: 'button' }));
      button.dataset.conversation = c.id;
      button.addEventListener('click', () => open(c.id));
      r = { row: el('li', {}, button), button, says: '' };
      rows.set(c.id, r);
    }
    const n = unread(c.id);
    const name = c.contact || c.id;
    const at = c.last && when(c.last.at);
    const says = JSON.stringify([name, c.last, at, n, language(), fixedLanguage(), c.last && nameOf(c.last.from)]);
    if (says !== r.says) {
      r.says = says;
      r.button.replaceChildren(face(el('span.avatar', { ariaHidden: 'true' }), name), el('span.contact', { dir: 'auto' }, name),
        ...(c.last ? [el('time.soft', { dateTime: c.last.at }, at), lastWords(c.last)] : []),
        ...(n > 0 ? [el('span.unread', {}, ...countWords(n))] : []));
      r.button.classList.toggle('waiting', n > 0);
    }
    r.button.setAttribute('aria-current', String(c.id === current));
    return r.row;
  }

  /** One stop for the Tab key: the arrow keys lead on from there. @param {string} [at] conversation */
  function stop(at) {
    const first = /** @type {HTMLElement | null} */ (byId('conversations').querySelector('button'));
    const chosen = [at, current].find((id) => id && rows.has(id)) ?? first?.dataset.conversation;
    for (const [id, { button }] of rows) button.tabIndex = id === chosen ? 0 : -1;
  }

  function showList() {
    const shown = /** @type {Listed[]} */ (state.conversations).filter((c) => mine(c) || unread(c.id) > 0 || c.id === current);
    const list = byId('conversations');
    const focused = list.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.conversation : undefined;
    for (const id of rows.keys()) if (!shown.some((c) => c.id === id)) rows.delete(id);
    arrange(list, shown.map(row));
    stop(focused);
    if (focused) rows.get(focused)?.button.focus();
    byId('empty').hidden = !known || shown.length > 0;
    const total = byId('total');
    total.hidden = counts.total === 0;
    total.replaceChildren(...countWords(counts.total));
    showHead();
  }
  byId('conversations').addEventListener('focusin', (e) => stop(/** @type {HTMLElement} */ (e.target).dataset.conversation));

  function showHead() {
    const c = state.conversations.find(({ id }) => id === current);
    if (!c) return;
    const { agent: a, team } = c.assignment;
    const name = c.contact || c.id;
    byId('chat-name').textContent = name;
    face(byId('chat-initial'), name);
    byId('chat-to').textContent = a === agent ? t('chat.to_you') : a ? t('chat.to_other', { name: nameOf(a) })
      : team ? t('chat.to_team', { team: state.team.name }) : t('chat.to_nobody');
    titled(name);
  }

  /**
   * @param {Line} l
   * @param {Line | undefined} before
   * @param {Line | undefined} after
   */
  function bubble(l, before, after) {
    const at = new Date(l.at);
    const named = !before || day(new Date(before.at)) !== day(at) ? day(at) : '';
    const run = after?.from === l.from && new Date(after.at).getTime() - at.getTime() < RUN && day(new Date(after.at)) === day(at);
    const says = JSON.stringify([l, named, run, time(at), fixedLanguage(), nameOf(l.from)]);
    const was = bubbles.get(l.id);
    if (was?.says === says) return was.row;
    const text = l.kind === 'text' || l.kind === 'emoji';
    const r = was?.row ?? el('li');
    r.className = [l.from !== 'contact' && 'mine', run && 'run'].filter(Boolean).join(' ');
    r.replaceChildren(...(named ? [el('p.day', {}, named)] : []), el('div.bubble', {},
      l.thumbnail && el('img', { src: l.thumbnail, alt: '', referrerPolicy: 'no-referrer' }),
      text && l.text ? el('span', { dir: 'auto' }, l.text) : el('span', { lang: fixedLanguage() }, el('i', {}, kindWords(l.kind)), l.text ? ` ${l.text}` : ''),
      el('span.soft', {}, `${l.from === 'contact' || l.from === agent ? '' : `${nameOf(l.from)} · `}${time(at)}`)));
    bubbles.set(l.id, { row: r, says });
    return r;
  }

  function showLines() {
    const shown = lines ?? [];
    for (const id of bubbles.keys()) if (!shown.some((l) => l.id === id)) bubbles.delete(id);
    arrange(byId('lines'), shown.map((l, i) => bubble(l, shown[i - 1], shown[i + 1])));
    byId('no-lines').hidden = !lines || lines.length > 0;
    follow();
    markRead();
  }

  // A transcript stays at its end, whatever grows, until somebody scrolls up in it.
  function follow() {
    if (following) log.scrollTop = log.scrollHeight;
  }
  log.addEventListener('scroll', () => {
    following = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
  });
  log.addEventListener('load', follow, true);
  new ResizeObserver(follow).observe(log);

  /** What the agent looks at is read. */
  function markRead() {
    if (!current || !lines?.length || byId('chat').hidden || document.visibilityState !== 'visible' || !document.hasFocus()) return;
    const upto = Math.max(0, ...lines.filter((l) => l.from === 'contact').map((l) => l.seq));
    if (upto > 0 && unread(current) > 0) client.read(current, upto);
  }
  addEventListener('focus', markRead);
  document.addEventListener('visibilitychange', markRead);

  /**
   * Asks soon for what changed; where the hub could not tell, again.
   * @param {() => string | null} path now; null: nothing
   * @param {(answer: any) => void} take of the answers none that is older than the last
   * @param {number} millis
   */
  function asking(path, take, millis) {
    let asked = 0;
    let taken = 0;
    const ask = soon(async () => {
      const mine = ++asked;
      const of = path();
      if (!of) return;
      try {
        const answer = await request('GET', of);
        if (mine < taken || of !== path()) return;
        taken = mine;
        take(answer);
      } catch (e) {
        // Once it can be reached again, the events begin anew.
        if (mine === asked && !(e instanceof Unreachable)) setTimeout(ask, ASK_AGAIN);
      }
    }, millis);
    return ask;
  }

  const linesChanged = asking(() => current && `/demo/conversations/${encodeURIComponent(current)}/messages`, ({ messages }) => {
    lines = messages;
    showLines();
  }, 30);

  const stateChanged = asking(() => '/demo/state', (s) => {
    state = s;
    known = true;
    showList();
  }, 100);

  function typed() {
    if (current) drafts.set(current, input.value);
    /** @type {HTMLButtonElement} */ (byId('send')).disabled = !input.value.trim();
    grow();
  }
  function grow() {
    input.style.height = 'auto';
    input.style.height = `${input.scrollHeight + input.offsetHeight - input.clientHeight}px`;
  }
  input.addEventListener('input', typed);
  addEventListener('resize', grow);
  input.addEventListener('keydown', (e) => {
    // Enter also ends the composition of a word, in Chinese say.
    if (e.key !== 'Enter' || e.shiftKey || e.isComposing || e.keyCode === 229) return;
    e.preventDefault();
    /** @type {HTMLFormElement} */ (byId('reply')).requestSubmit();
  });

  byId('reply').addEventListener('submit', async (e) => {
    e.preventDefault();
    const to = current;
    const text = input.value.trim();
    if (!to || !text) return;
    const failed = byId('reply-result');
    failed.hidden = following = true;
    input.value = '';
    typed();
    input.focus();
    try {
      await request('POST', `/demo/conversations/${encodeURIComponent(to)}/reply`, { agent, text });
      linesChanged();
    } catch (err) {
      // Before what was typed since: nothing that was written is lost.
      const draft = [text, drafts.get(to)].filter(Boolean).join('\n');
      drafts.set(to, draft);
      if (to !== current) return;
      input.value = draft;
      typed();
      failed.textContent = errorWords(err);
      failed.hidden = false;
    }
  });

  return {
    /** @param {string | null} conversation to be shown, or none */
    show(conversation) {
      if (conversation !== current) {
        lines = null;
        current = conversation;
        following = true;
        byId('chat-name').textContent = byId('chat-to').textContent = byId('chat-initial').textContent = '';
        byId('reply-result').hidden = true;
        input.value = drafts.get(conversation ?? '') ?? '';
        if (conversation) typed();
      }
      showList();
      showLines();
      if (conversation) linesChanged();
    },
    /** Moves the focus to a conversation in the list, or else to the first. @param {string | null} conversation */
    focus(conversation) {
      stop(conversation ?? undefined);
      for (const { button } of rows.values()) if (button.tabIndex === 0) button.focus();
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
