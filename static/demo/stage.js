/**
 * The stage: write as a contact, see who would ring and why, and what happened.
 * @module
 */
/** @import {Agent, Decision, Delivery, DemoState, Line, Message, Trace} from './common.js' */
import { arrange, byId, clock, content, el, endWords, follow, KINDS, once, request, soon, words } from './common.js';

const KEPT = 20;

/** @type {DemoState} */
let state = { agents: [], team: { id: '', name: '', members: [] }, conversations: [], public_url: '' };
/** @type {Map<string, Trace>} by conversation and message */
const traces = new Map();
/** @type {Map<string, Line>} by message: a trace loses its text after its last end */
const lines = new Map();

const form = /** @type {HTMLFormElement} */ (byId('send'));
const contact = /** @type {HTMLInputElement} */ (byId('contact'));
const kind = /** @type {HTMLSelectElement} */ (byId('kind'));
const text = /** @type {HTMLTextAreaElement} */ (byId('text'));
const thumbnail = /** @type {HTMLInputElement} */ (byId('thumbnail'));
const to = /** @type {HTMLSelectElement} */ (byId('to'));

for (const [value, label] of Object.entries(KINDS)) kind.append(new Option(label, value));

/** @param {string | undefined} id */
const agentName = (id) => state.agents.find((a) => a.id === id)?.name ?? id ?? '';

/** @param {Decision} d */
function deviceName(d) {
  const login = state.agents.find((a) => a.id === d.agent)?.logins.find((l) => l.device === d.device);
  return login ? login.label || login.code : 'a device that has left';
}

/** What the form says, as the hub takes it. */
function message() {
  const [what, ...rest] = to.value.split(':');
  const id = rest.join(':');
  const name = contact.value.trim();
  return {
    contact: name,
    conversation: state.conversations.find((c) => c.contact === name)?.id,
    kind: kind.value,
    text: text.value,
    thumbnail: thumbnail.value.trim() || undefined,
    to: what === 'agent' ? { agent: id } : what === 'team' ? { team: id } : {},
  };
}

/** @param {Decision} d */
function who(d) {
  if (!d.agent) return 'Nobody';
  return d.device ? `${agentName(d.agent)}, ${deviceName(d)}` : agentName(d.agent);
}

/** @param {Decision} d */
function decisionLine(d) {
  const [channel, why] = words(d);
  return [el('span.who', {}, who(d)), ' – ', el(`span.channel.${d.channel}`, {}, channel), `: ${why}`];
}

let asked = 0;
const preview = soon(async () => {
  const mine = ++asked;
  const list = byId('preview');
  try {
    const { decisions } = await request('POST', '/demo/preview', { ...message(), delay_seconds: 0 });
    if (mine === asked) list.replaceChildren(...decisions.map((/** @type {Decision} */ d) => el('li', {}, ...decisionLine(d))));
  } catch (e) {
    if (mine === asked) list.replaceChildren(el('li.bad', {}, String(/** @type {Error} */ (e).message)));
  }
}, 150);

form.addEventListener('input', () => {
  byId('thumbnail-label').hidden = !['image', 'sticker', 'video'].includes(kind.value);
  preview();
});

form.addEventListener('submit', async (e) => {
  e.preventDefault();
  const button = /** @type {HTMLButtonElement | null} */ (e.submitter);
  const delay = Number(button?.value ?? 0);
  const said = byId('sent');
  await once(button ?? form, async () => {
    try {
      await request('POST', '/demo/messages', { ...message(), delay_seconds: delay });
      said.className = 'soft';
      said.textContent = delay ? `Comes in ${delay} s, even if you close this page.` : 'Sent.';
    } catch (err) {
      said.className = 'bad';
      said.textContent = /** @type {Error} */ (err).message;
    }
  });
});

let assignees = ''; // as last shown: a list that is open stays so

function showAssignees() {
  byId('contacts').replaceChildren(...state.conversations.map((c) => new Option(c.contact)));
  const now = JSON.stringify([state.agents.map((a) => [a.id, a.name]), state.team]);
  if (now === assignees) return;
  assignees = now;
  const chosen = to.value;
  to.replaceChildren(
    ...state.agents.map((a) => new Option(a.name, `agent:${a.id}`)),
    new Option(`Team ${state.team.name} (${state.team.members.map(agentName).join(', ')})`, `team:${state.team.id}`),
    new Option('Nobody', 'nobody'),
  );
  const first = state.agents.some((a) => a.id === 'mei') ? 'agent:mei' : to.options[0]?.value;
  to.value = chosen || first || 'nobody';
}

/** @type {Record<string, string>} */
const PRESENCE = { active: 'looking at it', visible: 'visible, not focused', hidden: 'hidden', closed: 'closed' };

/** @type {Map<string, {says: string, row: HTMLElement}>} the rows as they stand, by what they are of */
const rows = new Map();

/**
 * The row of something: the one that stands, where it still says all there is.
 * @param {string} id
 * @param {unknown} of what it is made of
 * @param {() => HTMLElement} make
 */
function rowOf(id, of, make) {
  const says = JSON.stringify(of);
  const before = rows.get(id);
  if (before?.says === says) return before.row;
  const row = make();
  rows.set(id, { says, row });
  return row;
}

/** @param {string} conversation */
const contactOf = (conversation) => state.conversations.find((c) => c.id === conversation)?.contact ?? 'a contact';

/** @param {Agent} a */
function person(a) {
  const logins = a.logins.map((l) =>
    el('li', {},
      el(`span.dot.${l.presence}`),
      `${l.label || l.code} – ${PRESENCE[l.presence] ?? l.presence}`,
      el('span.soft', {}, [
        '',
        l.viewing && `has the chat with ${contactOf(l.viewing)} open`,
        !l.on && 'switch off',
        { granted: '', denied: 'notifications blocked', default: 'notifications not granted' }[l.permission],
        l.subscribed ? 'push' : 'no push',
      ].filter((x, i) => i === 0 || x).join(' · ')),
    ));
  return el('li', {},
    el('div.row', {},
      el('span.who.grow', {}, a.name, el('span.soft', {}, ` ${a.on_duty ? 'Online (On Duty)' : 'off duty'}${a.muted ? ', notifications off' : ''}`)),
      el('a.button', { href: `/agent/${encodeURIComponent(a.id)}`, target: '_blank' }, `Open ${a.name}`)),
    el('ul', {}, ...(logins.length ? logins : [el('li.soft', {}, 'logged in on no device')])));
}

function showPeople() {
  arrange(byId('people'), state.agents.map((a) => rowOf(`agent ${a.id}`, [a, a.logins.map((l) => l.viewing && contactOf(l.viewing))], () => person(a))));
  const elsewhere = state.public_url && new URL(state.public_url).hostname !== 'localhost';
  byId('phone').replaceChildren(...(elsewhere
    ? ['On a phone: open ', el('a', { href: state.public_url }, state.public_url), ' and enter the code from the terminal.']
    : ['A phone can join through an HTTPS tunnel: start the hub with CAAC_PUBLIC_URL set to its address.']));
}

/** @param {Delivery} d */
function delivery(d) {
  const end = endWords(d);
  return el('li.delivery', {},
    ...decisionLine(d),
    d.first && el('span.soft', {}, ` (at first ${words(d.first).join(': ')})`),
    end && el('span.soft', {}, ` – ${end}`));
}

/** @param {Message} m */
const traceId = (m) => `${m.conversation}/${m.id}`;

/** What an entry names: who is there, on which devices. */
const names = () => [state.team.name, state.agents.map((a) => [a.id, a.name, a.logins.map((l) => [l.device, l.label, l.code])])];

/** @param {Trace} t */
function entry({ message: m, deliveries, reached_nobody }) {
  const line = lines.get(m.id);
  const assigned = m.assignment.agent ? agentName(m.assignment.agent) : m.assignment.team ? `team ${state.team.name}` : 'nobody';
  return el('li', {},
    el('div.message', {}, el('span.who', {}, m.contact || 'Contact'), ': ', content({ kind: m.kind, text: m.text || line?.text, thumbnail: m.thumbnail || line?.thumbnail })),
    el('div.soft', {}, `${clock(m.accepted)} · assigned to ${assigned}`),
    el('ul', {}, ...deliveries.map(delivery)),
    reached_nobody && el('div.nobody', {}, 'This reached nobody.'));
}

const showTimeline = soon(() => {
  const newest = [...traces.values()].sort((a, b) => b.message.accepted.localeCompare(a.message.accepted));
  for (const { message } of newest.splice(KEPT)) {
    traces.delete(traceId(message));
    rows.delete(traceId(message));
  }
  const named = names();
  arrange(byId('timeline'), newest.map((t) => rowOf(traceId(t.message), [t, lines.get(t.message.id), named], () => entry(t))));
  byId('nothing').hidden = newest.length > 0;
  showSteps();
}, 30);

function showSteps() {
  const reached = [...traces.values()].flatMap((t) => t.deliveries);
  const mei = state.agents.find((a) => a.id === 'mei');
  /** @param {...string} reasons */
  const seen = (...reasons) => reached.some((d) => reasons.includes(d.reason) || reasons.includes(d.first?.reason ?? ''));
  /** @type {Record<string, boolean>} */
  const done = {
    open: !!mei?.logins.length,
    write: traces.size > 0,
    grant: !!mei?.logins.some((l) => l.permission === 'granted'),
    looking: seen('actively_viewing', 'viewing_conversation'),
    hidden: reached.some((d) => d.reason === 'page_hidden' || (d.channel === 'local' && d.reason === 'no_subscription')),
    closed: seen('page_closed'),
  };
  for (const li of document.querySelectorAll('#steps li')) {
    li.classList.toggle('done', !!done[/** @type {HTMLElement} */ (li).dataset.step ?? '']);
  }
}

async function refetch() {
  const lost = byId('lost');
  try {
    state = await request('GET', '/demo/state');
    lost.hidden = true;
  } catch (e) {
    lost.textContent = /** @type {Error} */ (e).message;
    lost.hidden = false;
    return;
  }
  showAssignees();
  showPeople();
  showTimeline();
  preview();
}

async function refetchLines() {
  for (const c of state.conversations) {
    const { messages } = await request('GET', `/demo/conversations/${encodeURIComponent(c.id)}/messages`);
    for (const l of messages) lines.set(l.id, l);
  }
  showTimeline();
}

const stateChanged = soon(refetch, 100);

follow({
  again: () => void refetch().then(refetchLines).catch(() => {}),
  trace(data) {
    traces.set(traceId(data.trace.message), data.trace);
    showTimeline();
    stateChanged();
  },
  presence: stateChanged,
  message(line) {
    lines.set(line.id, line);
    showTimeline();
  },
});
