/**
 * An agent's app: what CAAC's front end does with the SDK.
 * @module
 */
/** @import {State, StateInfo} from '../sdk/types.js' */
import { connect } from '../sdk/index.js';
import { chats, initial } from './chat.js';
import { check } from './check.js';
import { byId, el, follow, request } from './common.js';
import { demoBar } from './demo-bar.js';
import { profile } from './profile.js';
import { closeWords } from './results.js';
import { pendingSetup } from './setup.js';
import { speak, t, translate } from './strings.js';

const LAST = 'caac.agent';

/** Who is logged in here: as the address says, or else who was last. */
function whoami() {
  const named = decodeURIComponent(location.pathname.split('/')[2] ?? '');
  try {
    if (named) localStorage.setItem(LAST, named);
    return named || localStorage.getItem(LAST) || '';
  } catch {
    return named;
  }
}

translate();
const agent = whoami();
if (agent) start();
else void logIn();

/** CAAC asks for an account here; the demo lets one be chosen. */
async function logIn() {
  byId('app').hidden = true;
  byId('login').hidden = false;
  try {
    const { agents } = await request('GET', '/demo/state');
    byId('accounts').replaceChildren(...agents.map((/** @type {{id: string, name: string}} */ a) =>
      el('li', {}, el('a.button.main', { href: `/agent/${encodeURIComponent(a.id)}` }, a.name))));
  } catch {
    byId('no-accounts').hidden = false;
  }
}

function start() {
  /** @type {{token: string, until: number} | null} */
  let kept = null;
  async function token() {
    if (kept && Date.now() < kept.until) return kept.token;
    const { token, expires } = await request('POST', '/demo/token', { agent });
    const end = typeof expires === 'number' ? expires * 1000 : Date.parse(expires);
    kept = { token, until: end - 180_000 };
    return token;
  }

  let onDuty = false;
  /** @type {State} */
  let connection = 'connecting';
  const duty = /** @type {HTMLInputElement} */ (byId('duty'));
  /** @type {ReturnType<typeof check> | undefined} the client tells its first state while it is made */
  let checks;

  const client = connect({
    token,
    serviceWorker: '/sw-app.js',
    // Several agents may try the demo in one browser: each has a place of its own.
    place: agent,
    toast: byId('toasts'),
    onCounts: (c) => chat.counts(c),
    onOpen: (conversation) => go({ conversation }),
    onDuty(on, may) {
      onDuty = on;
      duty.checked = on;
      duty.disabled = !may;
      showDuty();
      checks?.again();
    },
    onSettings(settings, self) {
      if (speak(settings.locale)) retell();
      showName(self.name);
      settingsView.settings(settings, self);
    },
    onState: showConnection,
    onWithdraw: () => chat.changed(),
  });
  const chat = chats({ client, agent, open: (conversation) => go({ conversation }) });
  const settingsView = profile(client, { checkAgain: () => checks?.again(), open: () => go({ view: 'profile' }) });
  const bar = demoBar(agent, settingsView.device);
  checks = check(client, settingsView, { onDuty: () => onDuty });

  /** @param {string} name */
  function showName(name) {
    byId('name').textContent = name;
    byId('initial').textContent = initial(name);
    byId('profile-icon').setAttribute('aria-label', t('app.profile_icon', { name }));
    bar.name(name);
  }

  function showDuty() {
    byId('duty-words').textContent = t(onDuty ? 'duty.on' : 'duty.off');
    byId('duty-note').hidden = onDuty || !client.self;
  }
  duty.addEventListener('change', () => {
    if (!client.duty(duty.checked)) duty.checked = !duty.checked;
  });

  /**
   * @param {State} s
   * @param {StateInfo} info
   */
  function showConnection(s, info) {
    connection = s;
    const gone = s === 'logged_out' || s === 'refused';
    byId('gone').hidden = !gone;
    byId('app').hidden = gone;
    byId('gone-words').textContent = s === 'logged_out' ? t('gone.logged_out') : gone ? closeWords(info) : '';
    showLine();
    checks?.again();
  }
  function showLine() {
    const line = byId('connection');
    line.textContent = !navigator.onLine ? t('line.offline') : connection === 'waiting' ? t('line.waiting') : '';
  }
  addEventListener('online', showLine);
  addEventListener('offline', showLine);
  byId('again').addEventListener('click', () => location.reload());

  /** Tells everything again, in another language. */
  function retell() {
    translate();
    showDuty();
    showLine();
    showName(client.self?.name ?? agent);
    chat.retell();
    settingsView.retell();
    checks?.retell();
  }

  // ---- What is shown: the address says it, so that "back" goes back.

  /** @typedef {{conversation?: string | null, view?: 'profile' | 'check' | null}} Where */

  /** @param {Where} where @param {boolean} [replace] */
  function go({ conversation = null, view = null }, replace) {
    const url = new URL(location.href);
    url.search = '';
    if (view) url.searchParams.set('view', view);
    if (conversation) url.searchParams.set('conversation', conversation);
    if (url.href !== location.href) history[replace ? 'replaceState' : 'pushState'](null, '', url);
    show(true);
  }

  /** @param {boolean} [moved] by the person: the focus goes along */
  function show(moved) {
    const query = new URL(location.href).searchParams;
    const view = query.get('view');
    const conversation = view ? null : query.get('conversation');
    const shown = view === 'profile' || view === 'check' ? view : conversation ? 'chat' : '';
    for (const id of ['chat', 'profile', 'check']) byId(id).hidden = id !== shown;
    byId('none').hidden = shown !== '';
    byId('app').dataset.shows = shown;
    client.viewing(conversation);
    chat.show(conversation);
    menu(false);
    if (shown === 'profile') settingsView.opened();
    if (shown === 'check') checks?.opened();
    else checks?.closed();
    if (moved && shown) byId(`${shown === 'chat' ? 'chat-name' : `${shown}-title`}`).focus();
  }
  addEventListener('popstate', () => show());

  /** One up: from a view to the list. */
  const up = () => go({});
  for (const b of document.querySelectorAll('button.back')) b.addEventListener('click', up);
  byId('to-list').addEventListener('click', up);

  // ---- The menu of the profile icon.

  /** @param {boolean} open */
  function menu(open) {
    byId('menu').hidden = !open;
    byId('profile-icon').setAttribute('aria-expanded', String(open));
  }
  byId('profile-icon').addEventListener('click', () => menu(byId('menu').hidden));
  byId('open-profile').addEventListener('click', () => go({ view: 'profile' }));
  byId('open-check').addEventListener('click', () => go({ view: 'check' }));
  byId('go-check').addEventListener('click', () => go({ view: 'check' }));
  byId('logout').addEventListener('click', async () => {
    menu(false);
    await settingsView.change(() => client.logout());
    if (client.state === 'closed') showConnection('logged_out', {});
  });
  document.addEventListener('click', (e) => {
    if (!byId('me').contains(/** @type {Node} */ (e.target))) menu(false);
  });
  document.addEventListener('keydown', (e) => {
    if (e.key === 'Escape') {
      if (!byId('menu').hidden) {
        menu(false);
        byId('profile-icon').focus();
      } else if (byId('app').dataset.shows) {
        up();
        /** @type {HTMLElement | null} */ (document.querySelector('#conversations button'))?.focus();
      }
      return;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    const list = /** @type {HTMLElement} */ (e.target).closest?.('#conversations, #menu');
    if (!step || !list) return;
    const buttons = [...list.querySelectorAll('button')];
    buttons[buttons.indexOf(/** @type {HTMLButtonElement} */ (e.target)) + step]?.focus();
    e.preventDefault();
  });

  follow({
    again: () => chat.changed(),
    message: (line) => chat.changed(line.conversation),
    trace(e) {
      chat.changed(e.conversation);
      bar.trace(e);
    },
  });

  bar.retell();
  showName(agent);
  if (pendingSetup()) go({ view: 'check' }, true);
  else show();
}
