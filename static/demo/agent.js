/**
 * An agent's page of the demo: what CAAC's front end does with the SDK.
 * @module
 */
/** @import {Conversation, DemoState, Line} from './common.js' */
/** @import {Counts, Settings, Self, State, StateInfo} from '../sdk/types.js' */
import { connect } from '../sdk/index.js';
import { byId, clock, content, el, follow, request, soon, words } from './common.js';
import { profile } from './profile.js';

const agent = decodeURIComponent(location.pathname.split('/')[2] ?? '');

/** @type {DemoState} */
let state = { agents: [], team: { id: '', name: '', members: [] }, conversations: [], public_url: '' };
/** @type {Counts} */
let counts = { total: 0, version: 0, conversations: [] };
/** @type {string | null} the conversation shown */
let current = null;
/** @type {Line[]} of it */
let lines = [];
/** The message last written from the foot of this page. */
let written = '';

/** @type {{token: string, until: number} | null} */
let kept = null;
async function token() {
  if (kept && Date.now() < kept.until) return kept.token;
  const { token, expires } = await request('POST', '/demo/token', { agent });
  const end = typeof expires === 'number' ? expires * 1000 : Date.parse(expires);
  kept = { token, until: end - 180_000 };
  return token;
}

const client = connect({
  token,
  // Several agents may try the demo in one browser: each has a place of its own.
  place: agent,
  toast: byId('toasts'),
  onCounts(c) {
    counts = c;
    showList();
    if (c.conversations.some(({ conversation }) => !state.conversations.some((k) => k.id === conversation))) stateChanged();
    if (current && unread(current)) linesChanged();
  },
  onOpen: open,
  onDuty(on, may) {
    const box = /** @type {HTMLInputElement} */ (byId('duty'));
    box.checked = on;
    box.disabled = !may;
    byId('duty-words').textContent = on ? 'Online (On Duty)' : 'Off duty';
  },
  onSettings(settings, self) {
    byId('name').textContent = self.name;
    showProfile.settings(settings, self);
  },
  onState: showConnection,
  onWithdraw: () => stateChanged(),
});
const showProfile = profile(client);

byId('duty').addEventListener('change', (e) => {
  const box = /** @type {HTMLInputElement} */ (e.target);
  if (!client.duty(box.checked)) box.checked = !box.checked;
});

/**
 * @param {State} s
 * @param {StateInfo} info
 */
function showConnection(s, info) {
  byId('connection').textContent =
    { connecting: 'connecting…', online: '', waiting: 'no connection, trying again…', logged_out: '', refused: '', closed: '' }[s];
  const gone = s === 'logged_out' || s === 'refused';
  byId('gone').hidden = !gone;
  byId('main').hidden = gone;
  if (gone) byId('banner').hidden = true;
  byId('gone-words').textContent = s === 'logged_out'
    ? 'You are logged out on this device.'
    : `The hub refused this page: ${info.reason || info.code}.`;
}
byId('again').addEventListener('click', () => location.reload());

/** @param {string} conversation */
const unread = (conversation) => counts.conversations.find((c) => c.conversation === conversation)?.unread ?? 0;

/** @param {Conversation} c */
function mine(c) {
  const { agent: a, team } = c.assignment;
  return a ? a === agent : !!team && team === state.team.id && state.team.members.includes(agent);
}

function showList() {
  const shown = state.conversations.filter((c) => mine(c) || unread(c.id) > 0 || c.id === current);
  byId('conversations').replaceChildren(...shown.map((c) => {
    const n = unread(c.id);
    const b = el('button', { type: 'button' }, el('span.contact.grow', {}, c.contact || c.id), n > 0 && el('span.unread', {}, String(n)));
    b.setAttribute('aria-current', String(c.id === current));
    b.addEventListener('click', () => open(c.id));
    return el('li', {}, b);
  }));
  byId('empty').hidden = shown.length > 0;
  byId('chat-name').textContent = state.conversations.find((c) => c.id === current)?.contact ?? '';
}

/** @param {string | null} conversation */
function open(conversation) {
  if (conversation !== current) lines = [];
  current = conversation;
  client.viewing(conversation);
  byId('chat').hidden = !conversation;
  byId('main').classList.toggle('chatting', !!conversation);
  if (conversation) showProfile.close();
  const url = new URL(location.href);
  if (conversation) url.searchParams.set('conversation', conversation);
  else url.searchParams.delete('conversation');
  history.replaceState(null, '', url);
  showList();
  showLines();
  if (conversation) linesChanged();
}
byId('back').addEventListener('click', () => open(null));

function showLines() {
  const list = byId('lines');
  list.replaceChildren(...lines.map((l) =>
    el(l.from === 'contact' ? 'li' : 'li.mine', {}, content(l), el('div.soft', {}, `${l.from === 'contact' || l.from === agent ? '' : `${l.from}, `}${clock(l.at)}`))));
  list.scrollTop = list.scrollHeight;
  markRead();
}

/** What the agent looks at is read. */
function markRead() {
  if (!current || lines.length === 0 || document.visibilityState !== 'visible' || !document.hasFocus()) return;
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

const stateChanged = soon(async () => {
  try {
    state = await request('GET', '/demo/state');
  } catch {
    return;
  }
  const me = state.agents.find((a) => a.id === agent);
  byId('write-name').textContent = me?.name ?? agent;
  if (!byId('name').textContent) byId('name').textContent = me?.name ?? '';
  showList();
}, 100);

for (const button of document.querySelectorAll('button.write')) {
  button.addEventListener('click', async () => {
    const delay = Number(/** @type {HTMLButtonElement} */ (button).value);
    const said = byId('write-result');
    try {
      const { message } = await request('POST', '/demo/messages', { contact: 'Ada', kind: 'text', text: 'Where is my parcel?', to: { agent }, delay_seconds: delay });
      written = message;
      if (delay) said.textContent = `Comes in ${delay} s. Now look at another tab, or close this one.`;
    } catch (e) {
      said.textContent = /** @type {Error} */ (e).message;
    }
  });
}

follow({
  again() {
    stateChanged();
    linesChanged();
  },
  message(line) {
    if (line.conversation === current) linesChanged();
    stateChanged();
  },
  trace({ conversation, message, trace }) {
    if (conversation === current) linesChanged();
    if (!state.conversations.some((c) => c.id === conversation)) stateChanged();
    const here = trace.deliveries.find((/** @type {any} */ d) => d.agent === agent && d.device === showProfile.device());
    if (written === message && here) byId('write-result').textContent = `On this device: ${words(here).join(': ')}.`;
  },
});

const wanted = new URL(location.href).searchParams.get('conversation');
if (wanted) open(wanted);
